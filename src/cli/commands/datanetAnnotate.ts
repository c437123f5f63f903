import { z } from "zod";
import { refuse } from "../../core/result.ts";
import { annotationListSchema, annotationSchema } from "../../protocol/annotations.ts";
import type { Output } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { pathOf } from "./datanet.ts";
import { flag, wholeText } from "./inputs.ts";

const record = z.string().regex(/^0x[0-9a-f]{8,64}$/, "must be a record's id, or its first characters");
const said = [
  ["--text <words>", "3 to 300 characters"],
  ["--by <identity>", "who says it: git:ann@example.org, or a party id; this node where it is left out"],
] as const;
const sayable = { name: wholeText, text: wholeText, by: wholeText.optional() };

const annotate = command({
  path: "datanet annotate",
  summary:
    "Add words to a record as context: from the next version on it is found by them too, and whoever added them is paid by what that changes",
  arguments: [
    ["<name>", "the datanet"],
    ["<record>", "its id, or the first characters of it: openledger datanet records"],
  ],
  options: said,
  examples: [
    'openledger datanet annotate handbook 0x3f09ab12cd45 --text "descaling a coffee machine" --by git:ann@example.org',
  ],
  input: z.object({ ...sayable, record }),
  run: async ({ name, ...draft }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const made = await client.value.post(`${pathOf(name)}/annotations`, draft, annotationSchema);
    if (made.ok) showAdded(name, made.value, output);
    return made;
  },
});

const link = command({
  path: "datanet link",
  summary: "Link a record to another as context: the words of the link lead to the other one from the next version on",
  arguments: [
    ["<name>", "the datanet"],
    ["<from>", "the record that the link stands in"],
    ["<to>", "the record that it leads to"],
  ],
  options: said,
  examples: [
    'openledger datanet link handbook 0x3f09ab12cd45 0x77c1d0e2aa90 --text "what to do when the pump stays dry"',
  ],
  input: z.object({ ...sayable, from: record, to: record }),
  run: async ({ name, to, ...draft }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const made = await client.value.post(`${pathOf(name)}/annotations`, { ...draft, record: to }, annotationSchema);
    if (made.ok) showAdded(name, made.value, output);
    return made;
  },
});

const annotations = command({
  path: "datanet annotations",
  summary: "What was added to a datanet's records, or the decision on one that waits for it",
  arguments: [
    ["<name>", "the datanet"],
    ["[annotation]", "its id; without one all are listed"],
  ],
  options: [
    ["--approve", "take it"],
    ["--reject", "do not take it"],
    ["--reason <text>", "why; published with the decision"],
  ],
  examples: [
    "openledger datanet annotations handbook",
    'openledger datanet annotations handbook 0x9c… --approve --reason "it says what the page is about"',
  ],
  input: z.object({
    ...{ name: wholeText, annotation: wholeText.optional() },
    ...{ approve: flag, reject: flag, reason: z.string().optional() },
  }),
  run: async ({ name, annotation, approve, reject, reason }, { client: open, output }) => {
    if (annotation !== undefined && approve === reject)
      return refuse("invalid_request", "a review either approves or rejects", { hint: "--approve or --reject" });
    const client = await open();
    if (!client.ok) return client;
    const path = `${pathOf(name)}/annotations`;
    if (annotation === undefined) {
      const found = await client.value.get(path, annotationListSchema);
      if (found.ok)
        output.table(
          found.value.data.map(({ id, state, record: of, from, text, by }) => ({
            ...{ id: id.slice(0, 14), state, record: of.slice(0, 14), from: from?.slice(0, 14) ?? "" },
            ...{ words: text, by },
          })),
          "add something: openledger datanet annotate --help",
        );
      return found;
    }
    const body = { decision: approve ? "approve" : "reject", reason: reason ?? "" };
    const decided = await client.value.post(`${path}/${encodeURIComponent(annotation)}/review`, body, annotationSchema);
    if (decided.ok) output.line(`${decided.value.state}: ${decided.value.text}`);
    return decided;
  },
});

export const datanetAnnotateCommands: readonly CliCommand[] = [annotate, link, annotations];

/** What was added, and what has to happen before it counts. */
function showAdded(datanet: string, { state, id }: z.infer<typeof annotationSchema>, output: Output): void {
  output.line(`${state}: ${id}`);
  if (state === "open") output.line(`  let it in: openledger datanet annotations ${datanet} ${id} --approve`);
  else output.line(`  it counts from the next version on: openledger datanet publish ${datanet}`);
}
