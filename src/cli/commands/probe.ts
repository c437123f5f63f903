import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { parseIdentity } from "../../datanets/identity.ts";
import { contributorListSchema, type RecordView, recordListSchema } from "../../protocol/datanets.ts";
import { receiptDetailSchema } from "../../protocol/receipts.ts";
import { servedModelListSchema } from "../../protocol/service.ts";
import type { Client } from "../client.ts";
import { percent } from "../output.ts";
import { askWhole, settled } from "./ask.ts";
import { command, type Shell } from "./command.ts";
import { pathOf } from "./datanet.ts";
import { wholeNumber, wholeText } from "./inputs.ts";
import { findTrust, type Trust } from "./journalSource.ts";
import { checkPromise, waitUntilJournalled } from "./promise.ts";

/** An answer that repeats this many characters of a record in a row has used it. */
const QUOTE_CHARACTERS = 60;

interface ProbedCall {
  readonly question: string;
  readonly record: string;
  readonly receipt: string;
  readonly nano: number;
  readonly promise: "kept" | "broken" | "false";
  /** What is wrong with the promise, where something is. */
  readonly fault?: string;
  /** The answer repeats a record of this contributor. */
  readonly isQuoted: boolean;
  /** Millionths of the contributors' part. */
  readonly credited: number;
}

export const probeCommand = command({
  path: "probe",
  summary: "Buy ordinary calls about your own records, and report what was not journalled or not credited",
  options: [
    ["--datanet <name>", "where your records are"],
    ["--as <identity>", "who you are in it, for example git:ann@example.org"],
    ["--model <name>", "ask this model; one that is made of the datanet where it is left out"],
    ["--calls <count>", "calls to buy at most (default 5)"],
  ],
  examples: [
    "openledger probe --datanet handbook --as git:ann@example.org --key ol_…",
    "openledger probe --datanet npm-docs --as repo:github.com/tj/commander.js --calls 10 --url https://node.example.org",
  ],
  input: z.object({
    ...{ datanet: wholeText, as: wholeText, model: wholeText.optional() },
    calls: wholeNumber(1, 100).default(5),
  }),
  run: async ({ datanet, as, model: wanted, calls }, shell) => {
    const { output } = shell;
    const identity = parseIdentity(as);
    if (!identity.ok) return identity;
    const client = await shell.client();
    if (!client.ok) return client;
    const trust = await findTrust(shell, undefined, client.value.url);
    if (!trust.ok) return trust;
    const model = wanted === undefined ? await modelOf(client.value, datanet) : ok(wanted);
    if (!model.ok) return model;
    const own = await ownRecords(client.value, datanet, identity.value.text, calls);
    if (!own.ok) return own;
    const { records } = own.value;
    const payee = await payeeOf(client.value, datanet, own.value);
    if (!payee.ok) return payee;
    const probed: ProbedCall[] = [];
    for (const [i, record] of records.entries()) {
      output.progress(`${i + 1} of ${records.length}  ${record.title}`);
      const call = await probeOnce(client.value, trust.value, shell, {
        model: model.value,
        record,
        payee: payee.value,
      });
      if (!call.ok) return call;
      probed.push(call.value);
    }
    return report(
      { datanet, identity: identity.value.text, model: model.value, payee: payee.value, calls: probed },
      shell,
    );
  },
});

interface Report {
  readonly datanet: string;
  readonly identity: string;
  readonly model: string;
  readonly payee: string;
  readonly calls: readonly ProbedCall[];
}

function report(found: Report, { output, endAs }: Shell): Result<unknown> {
  const { calls } = found;
  output.table(
    calls.map(({ receipt, promise, isQuoted, credited, nano, question }) => ({
      ...{ receipt: receipt.slice(0, 14), journalled: promise, quoted: isQuoted ? "yes" : "no" },
      ...{ credited: percent(credited, 1_000_000), OPEN: formatOpen(nano), question },
    })),
  );
  const broken = calls.filter(({ promise }) => promise !== "kept");
  const uncredited = calls.filter(({ isQuoted, credited }) => isQuoted && credited === 0);
  const spent = calls.reduce((sum, { nano }) => sum + nano, 0);
  output.line(`${calls.length} calls for ${formatOpen(spent)} OPEN as ${found.identity}`);
  if (broken.length === 0 && uncredited.length === 0) {
    output.line("every call is journalled as promised, and every answer that repeats you credits you");
    return ok({ ...found, spent, findings: 0 });
  }
  for (const { receipt, fault } of broken)
    output.line(`not journalled: ${receipt}: ${fault ?? "the promise is broken"}`);
  for (const { receipt, record } of uncredited) output.line(`not credited: ${receipt} repeats your record ${record}`);
  output.line("keep the receipts: each is proof, signed by the node, of what it promised");
  endAs("verification_failed");
  return ok({ ...found, spent, findings: broken.length + uncredited.length });
}

async function probeOnce(
  client: Client,
  trust: Trust,
  shell: Shell,
  { model, record, payee }: { readonly model: string; readonly record: RecordView; readonly payee: string },
): Promise<Result<ProbedCall>> {
  const question = questionAbout(record);
  const answered = await askWhole(client, { model, messages: [{ role: "user", content: question }] });
  if (!answered.ok) return answered;
  const { answer } = answered.value;
  // As anybody asks: a call that asks the node to wait for the receipt would be known by it.
  const settlement = await settled(client, answered.value.settlement, shell.world);
  const { receipt, fee, promise } = settlement;
  const detail = await client.get(`/api/receipts/${receipt.replace(/^0x/, "")}`, receiptDetailSchema);
  const legs = detail.ok ? detail.value.legs.filter((leg) => leg.payee === payee && leg.role === "contributor") : [];
  const shown = settlement.credited?.find((one) => one.payee === payee)?.weight ?? 0;
  const credited = Math.max(shown, ...legs.map(({ weight }) => weight));
  const base = { question, record: record.id, receipt, nano: fee.amount };
  const rest = { isQuoted: quotes(answer, record.text), credited };
  if (promise === undefined)
    return ok({ ...base, promise: "false", fault: "the answer came without a promise", ...rest });
  const signed = checkPromise(promise, settlement, trust.trust);
  if (!signed.ok) return ok({ ...base, promise: "false", fault: signed.error.message, ...rest });
  const kept = await waitUntilJournalled(client, promise, trust.trust, shell.world);
  if (!kept.ok) return ok({ ...base, promise: "broken", fault: kept.error.message, ...rest });
  return ok({ ...base, promise: "kept", ...rest });
}

/** As a stranger would ask who wants to know what the record says. */
function questionAbout({ title, headingPath }: RecordView): string {
  const heading = headingPath.at(-1);
  return heading === undefined || heading === title ? `What is ${title}?` : `${title}: ${heading.replace(/\?+$/, "")}?`;
}

/** Does the answer hold a stretch of the record, white space aside? */
export function quotes(answer: string, text: string): boolean {
  const [said, own] = [answer, text].map((part) => part.replace(/\s+/g, " "));
  if (said === undefined || own === undefined) return false;
  const length = Math.min(QUOTE_CHARACTERS, own.trim().length);
  for (let at = 0; at + length <= own.length; at++) if (said.includes(own.slice(at, at + length))) return length > 0;
  return false;
}

async function modelOf(client: Client, datanet: string): Promise<Result<string>> {
  const models = await client.get("/api/models", servedModelListSchema);
  if (!models.ok) return models;
  const found = models.value.data.find(({ datanets }) => datanets.includes(datanet));
  return found === undefined
    ? refuse("model_not_found", `no served model is made of datanet ${datanet}`)
    : ok(found.name);
}

interface Own {
  readonly identity: string;
  readonly names: ReadonlySet<string>;
  readonly records: readonly RecordView[];
}

async function ownRecords(client: Client, datanet: string, identity: string, max: number): Promise<Result<Own>> {
  const own: RecordView[] = [];
  for (let offset = 0; own.length < max; ) {
    const page = await client.get(`${pathOf(datanet)}/records`, recordListSchema, { limit: 1_000, offset });
    if (!page.ok) return page;
    own.push(...page.value.data.filter(({ authors }) => authors.some((author) => author.identity === identity)));
    offset += page.value.data.length;
    if (page.value.data.length === 0 || offset >= page.value.total) break;
  }
  const authors = own.flatMap((record) => record.authors).filter((author) => author.identity === identity);
  if (own.length > 0)
    return ok({ identity, names: new Set(authors.map(({ name }) => name)), records: own.slice(0, max) });
  return refuse("not_found", `${identity} has no records in ${datanet}`, {
    ...{ field: "as", hint: `openledger datanet contributors ${datanet}` },
  });
}

/** The payee by a name that this contributor alone has: identities themselves are not published. */
async function payeeOf(client: Client, datanet: string, own: Own): Promise<Result<string>> {
  const found = await client.get(`${pathOf(datanet)}/contributors`, contributorListSchema);
  if (!found.ok) return found;
  const [payee, another] = found.value.data.filter(({ names }) => names.some((name) => own.names.has(name)));
  if (payee !== undefined && another === undefined) return ok(payee.payee);
  return refuse("not_found", `the node lists no one payee for ${own.identity} in ${datanet}`, { field: "as" });
}
