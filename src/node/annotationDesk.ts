import type { Hex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Annotation } from "../datanets/annotation.ts";
import { parseIdentity } from "../datanets/identity.ts";
import { annotateRecord } from "../datanets/intake.ts";
import { parseId } from "../datanets/record.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { Annotations } from "../gateway/annotationRoutes.ts";
import type { Annotate, AnnotationView } from "../protocol/annotations.ts";
import { unknown } from "./datanetDesk.ts";

/** What people add to records, over the store. */
export class AnnotationDesk implements Annotations {
  readonly #store: DatanetStore;
  readonly #node: Hex;
  readonly #nowMs: () => number;

  /** `node`: 32-byte party id, whose annotations those are that name nobody else. */
  constructor(store: DatanetStore, node: Hex, nowMs: () => number) {
    this.#store = store;
    this.#node = node;
    this.#nowMs = nowMs;
  }

  async annotate(datanet: string, { record, from, text, by = this.#node }: Annotate): Promise<Result<AnnotationView>> {
    const version = await this.#store.version(datanet);
    const ids = version?.records.map(({ id }) => id) ?? [];
    const [to, origin] = [whole(record, ids, "record"), from === undefined ? undefined : whole(from, ids, "from")];
    if (!to.ok) return to;
    if (origin?.ok === false) return origin;
    const party = partyOf(by);
    if (!party.ok) return party;
    const draft = { by: party.value, record: to.value, text, ...(origin === undefined ? {} : { from: origin.value }) };
    const made = await annotateRecord(this.#store, datanet, draft, this.#nowMs());
    return made.ok ? ok(viewOf(made.value)) : made;
  }

  async list(datanet: string, state: AnnotationView["state"] | undefined): Promise<Result<readonly AnnotationView[]>> {
    if ((await this.#store.datanet(datanet)) === undefined) return unknown(datanet);
    const views = (await this.#store.annotations(datanet)).map(viewOf);
    return ok(views.filter((view) => state === undefined || view.state === state));
  }

  async review(
    datanet: string,
    id: string,
    action: Parameters<Annotations["review"]>[2],
  ): Promise<Result<AnnotationView>> {
    if ((await this.#store.datanet(datanet)) === undefined) return unknown(datanet);
    const known = parseId(id);
    if (known === undefined) return refuse("not_found", `${datanet} has no annotation ${id.slice(0, 80)}`);
    const decided = await this.#store.decideAnnotation(datanet, known, { ...action, timeMs: this.#nowMs() });
    return decided.ok ? ok(viewOf(decided.value)) : decided;
  }
}

/** The one id that begins so; what begins none is left for the datanet to refuse. */
function whole(beginning: string, ids: readonly Hex[], field: string): Result<Hex> {
  const found = [...new Set(ids.filter((id) => id.startsWith(beginning)))];
  if (found.length > 1)
    return refuse("invalid_request", `${found.length} records begin with ${beginning}`, {
      hint: "name more of its id",
      field,
    });
  const [one] = found;
  return one === undefined ? refuse("not_found", `the latest version has no record ${beginning}`, { field }) : ok(one);
}

function partyOf(by: string): Result<string> {
  if (parseId(by) !== undefined) return ok(by);
  const identity = parseIdentity(by);
  return identity.ok ? ok(identity.value.text) : refuse("invalid_request", identity.error.message, { field: "by" });
}

function viewOf({ id, record, from, text, by, status, decision, createdMs }: Annotation): AnnotationView {
  return {
    ...{ id, record, ...(from === undefined ? {} : { from }), text, by, createdMs },
    state: status === "pending" ? "open" : status,
    ...(decision === null ? {} : { reason: decision.reason }),
  };
}
