import { parseCombination, type TrustedMethod } from "../attribution/policy.ts";
import { formatOpen } from "../core/money.ts";
import type { Explanation, TraceView } from "../protocol/explanation.ts";
import type { Opening, ReceiptView } from "../protocol/receipts.ts";
import { isTraining } from "./trainingMethod.ts";

/** What an explanation is made of. */
export interface Explained {
  readonly receipt: ReceiptView;
  readonly view: Explanation["view"];
  /** Of whom the contributor's view is: evidence for records of these payees, by hex id. */
  readonly payees: ReadonlySet<string>;
  /** Undefined where nothing of the texts is kept, or may be shown. */
  readonly opening: Opening | undefined;
  /** The text of the methods that the receipt names, where the node has it. */
  readonly combination: string | undefined;
  readonly trace: TraceView | undefined;
  readonly labelOf: (payee: string) => string | undefined;
}

/** Which words, which records, which people, by which evidence, how sure; and what nobody is credited for. */
export function explain(explained: Explained): Explanation {
  const { receipt, view, opening, combination, trace } = explained;
  const parsed = combination === undefined ? undefined : parseCombination(combination);
  const methods = parsed?.ok ? parsed.value.methods : [];
  const body = {
    ...{ receipt: receipt.id, timeMs: receipt.timeMs, model: receipt.model, view },
    methods: methods.map(methodView),
    people: peopleOf(explained),
    evidence: view === "public" ? [] : evidenceOf(explained, methods),
    unattributed: {
      ...{ weightPpm: receipt.unattributed, prior: amountOf(receipt, "prior") },
      reserve: amountOf(receipt, "reserve"),
    },
    ...(view === "payer" && opening !== undefined ? { answer: opening.answer } : {}),
    ...(view === "payer" && trace !== undefined ? { trace } : {}),
  };
  return { ...body, says: sentences(explained, body) };
}

function methodView({ method, reliabilityPpm, basis }: TrustedMethod): Explanation["methods"][number] {
  const { id, version, kind, measures, says, doesNotSay } = method;
  return { id, version, kind, measures, reliabilityPpm, basis, says, doesNotSay };
}

/** Contributors with evidence of their own, the most credited first. */
function peopleOf({ receipt, view, opening, payees: own }: Explained): Explanation["people"] {
  const kinds = new Map<string, Set<Explanation["people"][number]["kinds"][number]>>();
  for (const { kind, payee: first, payees } of opening?.evidence ?? [])
    for (const { payee: id } of payees ?? [{ payee: first }]) kinds.set(id, (kinds.get(id) ?? new Set()).add(kind));
  return receipt.legs
    .filter(({ role }) => role === "contributor")
    .map((leg) => ({
      ...{ payee: leg.payee, ...(leg.label === undefined ? {} : { label: leg.label }) },
      kinds: view === "payer" || own.has(leg.payee) ? [...(kinds.get(leg.payee) ?? [])] : [],
      ...{ weightPpm: leg.weight, amount: leg.amount },
    }))
    .sort((a, b) => b.weightPpm - a.weightPpm);
}

/**
 * Heaviest first. A contributor sees the words only where they stand in the record: they are its own. What speaks of the whole answer has no words: it does not say which of them
 * the record is behind.
 */
function evidenceOf(
  { receipt, view, payees: own, opening, labelOf }: Explained,
  methods: readonly TrustedMethod[],
): Explanation["evidence"] {
  const items = opening?.evidence ?? [];
  const units = items.reduce((sum, { weight }) => sum + weight, 0);
  const isShown = (item: (typeof items)[number]): boolean =>
    view === "payer" || (item.payees ?? []).some((one) => own.has(one.payee));
  return items
    .filter(isShown)
    .map(({ kind, weight, record, title, source, author, payees = [], output, position, text }) => {
      const isOwn = view === "payer" || (position !== undefined && position[1] > position[0]);
      const trusted = methods.find(({ method }) => method.kind === kind);
      const measures = trusted?.method.measures;
      const hasWords = measures === undefined || measures === "match";
      return {
        ...{ kind, ...given({ measures, reliabilityPpm: trusted?.reliabilityPpm, basis: trusted?.basis }) },
        ...{ partPpm: Math.round(((1_000_000 - receipt.unattributed) * weight) / Math.max(1, units)) },
        ...given({ record, title, source, author, position }),
        payees: payees.map(({ payee: id, weight: share }) => ({
          payee: id,
          ...given({ label: labelOf(id) }),
          weight: share,
        })),
        ...given({ output: view === "payer" ? output : undefined, text: isOwn && hasWords ? text : undefined }),
      };
    })
    .sort((a, b) => b.partPpm - a.partPpm);
}

function sentences(
  { receipt, view, opening, combination }: Explained,
  { methods, people, evidence, unattributed }: Omit<Explanation, "says">,
): string[] {
  if (isTraining(receipt)) return [trainingSaid(receipt)];
  const said: string[] = [];
  const attributed = 1_000_000 - unattributed.weightPpm;
  if (receipt.flags.undeclared)
    said.push("The model declares no records: the contributors' part is reserved for datanets.");
  else
    said.push(
      `${percent(attributed)} of the contributors' part follows from evidence; it goes to ${count(people.length, "person", "people")}.`,
    );
  if (unattributed.weightPpm > 0 && !receipt.flags.undeclared)
    said.push(
      `${percent(unattributed.weightPpm)} could not be attributed: ${formatOpen(unattributed.prior)} OPEN of it go to the datanet's prior, ${formatOpen(unattributed.reserve)} OPEN to the reserve for validation, disputes and refunds.`,
    );
  const records = new Set(evidence.map(({ record }) => record)).size;
  if (view !== "public" && evidence.length > 0)
    said.push(
      `${count(evidence.length, "piece", "pieces")} of evidence over ${count(records, "record", "records")}${view === "contributor" ? " of yours" : ""}.`,
    );
  for (const method of methods.filter(({ kind }) => view === "public" || evidence.some((item) => item.kind === kind)))
    said.push(
      `${method.kind} (${method.measures}, ${sureness(method)}): ${method.says} It does not say: ${method.doesNotSay}`,
    );
  if (receipt.flags.unaudited)
    said.push("The payer forbade to keep the texts: who is credited can be seen, and not why.");
  else if (opening === undefined && view !== "public")
    said.push("The texts of this receipt have been erased: who is credited can be seen, and not why.");
  if (view === "public")
    said.push("The payer's key shows which words and records; the key of whom it credits, those of its own.");
  if (combination === undefined && !receipt.flags.undeclared)
    said.push("This node does not know the methods that the receipt names.");
  return said;
}

function trainingSaid({ flags, usage }: ReceiptView): string {
  const learnt = `A training that learnt ${usage.tokensIn} tokens: nothing was said, so there is no evidence of an answer.`;
  return flags.undeclared
    ? `${learnt} It learnt from no datanet, so the contributors' part is reserved for datanets.`
    : `${learnt} The contributors' part goes to those who wrote what was learnt, by bytes of text.`;
}

function sureness({ reliabilityPpm, basis }: Explanation["methods"][number]): string {
  if (basis === "exact") return "counted whole";
  return `counted ${percent(reliabilityPpm)}, ${basis === "measured" ? "as measured on this model" : "assumed: nobody has measured it on this model"}`;
}

function amountOf({ legs }: ReceiptView, role: string): number {
  return legs.reduce((sum, leg) => sum + (leg.role === role ? leg.amount : 0), 0);
}

function percent(ppm: number): string {
  return `${(ppm / 10_000).toFixed(1)} %`;
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** The fields that are there. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
