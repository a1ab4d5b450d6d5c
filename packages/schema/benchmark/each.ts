/** How long something takes: the best of some rounds, so that what else the machine does counts least. */
export const each = (what: string, times: number, work: () => void): void => {
  let best = Infinity
  for (let round = 0; round < 20; round++) {
    const begin = performance.now()
    work()
    best = Math.min(best, performance.now() - begin)
  }
  console.log(`${what}: ${(best * 1e6 / times).toFixed(0)} ns`)
}
