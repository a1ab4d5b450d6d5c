import { layerMemory } from "../../src/MessageStore/Memory.ts"
import { messageStoreSuite } from "../../src/testing/index.ts"

messageStoreSuite("layerMemory", layerMemory(), { bounded: { layer: layerMemory({ messages: 20 }), messages: 20 } })
