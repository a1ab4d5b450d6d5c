/** What an administrator may ask about accounts and declared groups: the definition of these two parts of the API. */
import { Name } from "@cpt/schema"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Account, AccountChange } from "../Account.ts"
import { AlreadyDeclared, NameConflict, NotDeclared } from "../Declared.ts"
import { Group, GroupChange, OpenToAll } from "../Group.ts"
import { DeclaredElsewhere } from "../Keeper.ts"

/** The disk does not take it now. */
export class NotStored extends Schema.TaggedError<NotStored>()("NotStored", {}, { httpApiStatus: 503 }) {
  override readonly message = "the server cannot store this now; nothing has changed"
}

// Not in the path: a name may be ".."
const Username = Schema.Struct({ name: Name.Username })
const GroupName = Schema.Struct({ name: Name.GroupName })

const After = { after: Schema.optionalKey(Schema.String) }
const pageOf =
  "Those with a name behind `after`, a page of them; if there may be more, `through` is where the next page begins"

export class AccountsGroup extends HttpApiGroup.make("accounts").add(
  HttpApiEndpoint.get("list", "/accounts", {
    query: After,
    success: Schema.Struct({ accounts: Schema.Array(Account), through: Schema.optionalKey(Schema.String) })
  }).annotate(OpenApi.Description, pageOf),
  HttpApiEndpoint.get("show", "/account", { query: Username, success: Account, error: NotDeclared })
    .annotate(OpenApi.Description, "One account, with its rules"),
  HttpApiEndpoint.post("add", "/account", {
    payload: Account,
    success: Account,
    error: [AlreadyDeclared, NameConflict, DeclaredElsewhere, NotStored]
  }).annotate(OpenApi.Description, "Declares an account"),
  HttpApiEndpoint.patch("change", "/account", {
    query: Username,
    payload: AccountChange,
    success: Account,
    error: [NotDeclared, NameConflict, DeclaredElsewhere, NotStored]
  }).annotate(
    OpenApi.Description,
    "Changes the rules of an account, and declares it if it was not and now has some. What is not given stays as it is, and null lifts a rule. It holds at once, also for who is logged in"
  ),
  HttpApiEndpoint.delete("remove", "/account", {
    query: Username,
    error: [NotDeclared, DeclaredElsewhere, NotStored]
  }).annotate(OpenApi.Description, "Ends the declaration of an account; its inbox stays, and stays private")
) {}

export class DeclaredGroupsGroup extends HttpApiGroup.make("declaredGroups").add(
  HttpApiEndpoint.get("list", "/declared-groups", {
    query: After,
    success: Schema.Struct({ groups: Schema.Array(Group), through: Schema.optionalKey(Schema.String) })
  }).annotate(OpenApi.Description, pageOf),
  HttpApiEndpoint.get("show", "/declared-group", { query: GroupName, success: Group, error: NotDeclared })
    .annotate(OpenApi.Description, "One declared group, with its rules"),
  HttpApiEndpoint.post("add", "/declared-group", {
    payload: Group,
    success: Group,
    error: [AlreadyDeclared, NameConflict, DeclaredElsewhere, NotStored]
  }).annotate(OpenApi.Description, "Declares a group"),
  HttpApiEndpoint.patch("change", "/declared-group", {
    query: GroupName,
    payload: GroupChange,
    success: Group,
    error: [NotDeclared, OpenToAll, NameConflict, DeclaredElsewhere, NotStored]
  }).annotate(
    OpenApi.Description,
    "Changes the rules of a group, and declares it if it was not and now has some. What is not given stays as it is, and null lifts a rule. It holds at once, also for who follows it"
  ),
  HttpApiEndpoint.delete("remove", "/declared-group", {
    query: GroupName,
    error: [NotDeclared, DeclaredElsewhere, NotStored]
  }).annotate(OpenApi.Description, "Ends the declaration of a group; its messages stay")
) {}
