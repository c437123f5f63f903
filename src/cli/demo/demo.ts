import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { parseHex, toHex } from "../../core/bytes.ts";
import { formatOpen } from "../../core/money.ts";
import { ownOf } from "../../core/receipt.ts";
import { ok, type Result } from "../../core/result.ts";
import { type Verdict, verifyJournal } from "../../ledger/verify.ts";
import type { Children } from "../../node/children.ts";
import { fileSink } from "../../node/fileSink.ts";
import { type Node, startNode } from "../../node/node.ts";
import type { DemoOptions } from "../commands/command.ts";
import { type Output, percent } from "../output.ts";
import { type Asked, ask, openPayer, type Payer, showAsked } from "./asking.ts";
import { type Library, openLibrary } from "./library.ts";
import { plantCopies, removeTopRecord, share, skim } from "./proofs.ts";
import { npmQuestions, questionsAbout, streamedQuestion, unanswerable } from "./questions.ts";

/**
 * The whole loop on real input: contributions become a datanet, the datanet a model, the model is asked, every answer is traced and paid for, an epoch is settled,
 * a contributor claims, and the verifier agrees. Then four proofs. The sums are what it returns.
 */
export async function runDemo(options: DemoOptions, children: Children): Promise<Result<Record<string, unknown>>> {
  const { output, data, port, once, repo } = options;
  const started = Date.now();
  output.heading("OpenLedger: who contributed, who refined, who executed, who earned");
  const node = await startNode({ data, port, say: (text) => output.progress(text) }, children);
  if (!node.ok) return node;
  const show = new Demonstration(node.value, output, repo);
  const sums = await show.run(started);
  if (!sums.ok) return sums;
  if (!once)
    next(
      node.value,
      output,
      show.model,
      repo === undefined ? "What does the requiredOption of commander do?" : "How do I read an OpenLedger receipt?",
    );
  return sums;
}

class Demonstration {
  readonly #node: Node;
  readonly #output: Output;
  readonly #repo: string | undefined;
  model = "";

  constructor(node: Node, output: Output, repo: string | undefined) {
    this.#node = node;
    this.#output = output;
    this.#repo = repo;
  }

  async run(startedMs: number): Promise<Result<Record<string, unknown>>> {
    const output = this.#output;
    output.heading("1 · A datanet of real contributions");
    const library = await openLibrary(this.#node, this.#repo, output);
    if (!library.ok) return library;
    this.model = library.value.model;
    this.#showLibrary(library.value);
    const payer = await openPayer(this.#node);
    if (!payer.ok) return payer;
    output.heading("2 · Questions, through the official OpenAI client");
    const asked = await this.#askAll(library.value, payer.value, startedMs);
    if (!asked.ok) return asked;
    output.heading("3 · An epoch on chain, a claim, and a refusal");
    const settled = await this.#settle(library.value);
    if (!settled.ok) return settled;
    output.heading("4 · Proofs");
    const proven = await this.#prove(library.value, asked.value);
    if (!proven.ok) return proven;
    output.heading("5 · A month: 200 questions, one statement");
    const month = await this.#month(library.value, payer.value);
    if (!month.ok) return month;
    const { totals } = { totals: this.#node.ledger.books.totals() };
    const seconds = Math.round((Date.now() - startedMs) / 100) / 10;
    const { credited, debited, held, receipts } = totals;
    return ok({
      seconds,
      receipts,
      creditedNano: credited,
      debitedNano: debited,
      heldNano: held,
      ...asked.value.sums,
      ...settled.value,
      ...proven.value,
      ...month.value,
    });
  }

  #showLibrary({ datanet, records, isNew }: Library): void {
    const people = new Set(records.flatMap((record) => record.authors.map((author) => author.identity)));
    const output = this.#output;
    output.line(
      `  ${isNew ? "made" : "found"} the datanet ${datanet}: ${records.length} records by ${people.size} identities, and one by a contributor that this demonstration made up`,
    );
    output.line(
      "  the authors did not ask for this: their shares stand as reserved, in play money, and leave with the data folder",
    );
  }

  async #askAll(
    library: Library,
    payer: Payer,
    startedMs: number,
  ): Promise<Result<{ readonly asked: readonly Asked[]; readonly sums: Record<string, unknown> }>> {
    const node = this.#node;
    const output = this.#output;
    const questions =
      this.#repo === undefined
        ? [...npmQuestions]
        : [...questionsAbout(library.records, 2), "How do I read an OpenLedger receipt?"];
    const asked: Asked[] = [];
    let firstReceiptSeconds = 0;
    for (const question of questions) {
      const done = await ask(node, payer, library.model, question);
      if (!done.ok) return done;
      firstReceiptSeconds ||= Math.round((Date.now() - startedMs) / 100) / 10;
      asked.push(done.value);
      showAsked(node, done.value, output);
    }
    const streamed = this.#repo === undefined ? streamedQuestion : questionsAbout(library.records, 3)[1]!;
    output.heading(`“${streamed}” (streamed)`);
    let words = 0;
    const stream = await ask(node, payer, library.model, streamed, () => {
      words += 1;
    });
    if (!stream.ok) return stream;
    output.line(`  ${words} chunks came before the receipt did:`);
    showAsked(node, stream.value, output, true);
    const refused = await ask(node, payer, library.model, unanswerable);
    if (!refused.ok) return refused;
    showAsked(node, refused.value, output);
    const fees = [...asked, stream.value, refused.value].reduce((sum, each) => sum + ownOf(each.receipt), 0);
    return ok({
      asked: [...asked, stream.value],
      sums: {
        firstReceiptSeconds,
        asked: asked.length + 2,
        feesNano: fees,
        unanswerableCredited: refused.value.evidence.length,
      },
    });
  }

  async #settle({ contributor }: Library): Promise<Result<Record<string, unknown>>> {
    const { settlement, ledger, chain, workshop } = this.#node;
    const output = this.#output;
    const closed = await settlement.close();
    if (!closed.ok) return closed;
    const { record } = closed.value;
    output.line(
      `  epoch ${record.epoch}: entries ${record.first} to ${record.end - 1}, ${record.postingsCount} postings, ${record.payoutCount} payees, credits ${formatOpen(record.credits)} = debits ${formatOpen(record.debits)} OPEN`,
    );
    output.progress("waiting for the challenge window");
    const final = await settlement.finalise(record.epoch);
    if (!final.ok) return final;
    const before = await chain.chain.balance(contributor.slice(12));
    const claimed = await workshop.claim(contributor);
    if (!claimed.ok) return claimed;
    const after = await chain.chain.balance(contributor.slice(12));
    if (!before.ok) return before;
    if (!after.ok) return after;
    output.line(
      `  the demonstration's own contributor claims: ${formatOpen(BigInt(claimed.value.paid))} OPEN, balance on chain ${formatOpen(before.value)} → ${formatOpen(after.value)}`,
    );
    const theft = await this.#attemptTheft();
    const verdict = await this.#verify();
    if (!verdict.ok) return verdict;
    output.line(
      `  the verifier read ${verdict.value.size} entries and agrees with every number; on chain: ${verdict.value.epochs.map((epoch) => `epoch ${epoch.record.epoch} ${epoch.chain}`).join(", ")}`,
    );
    return ok({
      epoch: record.epoch,
      claimedNano: claimed.value.paid,
      balanceRoseNano: after.value - before.value,
      theft,
      settledCreditsNano: record.credits,
      closedEpochs: ledger.epochs.list().length,
    });
  }

  /** The datanet's owner tries to be paid what is reserved for the author who earned most. */
  async #attemptTheft(): Promise<string> {
    const { ledger, workshop, gateway } = this.#node;
    const reserved = [...ledger.books.payees()]
      .filter((payee) => payee.type === "identity")
      .sort((a, b) => Number(b.lifetime - a.lifetime))[0];
    if (reserved === undefined) return "nobody to rob";
    const refused = await workshop.claim(reserved.id);
    const name = gateway.floor.labels(reserved.id) ?? toHex(reserved.id);
    const says = refused.ok ? "PAID" : refused.error.message;
    this.#output.line(
      `  the datanet's owner tries to take the ${formatOpen(reserved.lifetime)} OPEN reserved for ${name.slice(0, 60)}: refused, ${says}`,
    );
    return refused.ok ? "paid" : refused.error.code;
  }

  async #prove(
    library: Library,
    { asked }: { readonly asked: readonly Asked[] },
  ): Promise<Result<Record<string, unknown>>> {
    const node = this.#node;
    const output = this.#output;
    const { question } = asked.at(-1)!;
    output.progress("rebuilding the model without its top record");
    const removal = await removeTopRecord(node, library.datanet, library.records, question);
    if (!removal.ok) return removal;
    const { before, after, removed } = removal.value;
    const changed = before.text !== after.text;
    output.line(
      `  without “${removed.title} › ${removed.headingPath.at(-1) ?? ""}” the answer ${changed ? "is another" : "stays"}, and its author's credit goes from ${share(topOf(before.weights))} to ${share(after.weights.get(topKey(before.weights)) ?? 0)}`,
    );
    output.progress("planting five copies of it");
    const copying = await plantCopies(node, library.datanet, removal.value, question, Date.now());
    if (!copying.ok) return copying;
    const { copies, collapsed, copierWeight, victimBefore, victimAfter } = copying.value;
    output.line(
      `  ${copies} copies planted, ${collapsed} collapsed into the first registered: the copier earns ${share(copierWeight)}, the author's part goes from ${share(victimBefore)} to ${share(victimAfter)}`,
    );
    const skimmed = await skim(node, node.data, (size) => new Uint8Array(randomBytes(size)));
    if (!skimmed.ok) return skimmed;
    output.line(`  a proposer skims 1 % and signs it all anew; the verifier says: ${skimmed.value.says}`);
    return ok({
      removedChangedAnswer: changed,
      copierWeight,
      victimBefore,
      victimAfter,
      skimmedEntry: skimmed.value.seq,
    });
  }

  async #month(library: Library, payer: Payer): Promise<Result<Record<string, unknown>>> {
    const { ledger, settlement, gateway } = this.#node;
    const output = this.#output;
    const questions = questionsAbout(library.records, 200);
    const started = Date.now();
    for (const [i, question] of questions.entries()) {
      const done = await ask(this.#node, payer, library.model, question);
      if (!done.ok) return done;
      if (i % 10 === 9) output.progress(`asked ${i + 1} of ${questions.length} questions`);
    }
    const perSecond = Math.round((questions.length * 1_000) / (Date.now() - started));
    const closed = await settlement.close();
    if (!closed.ok) return closed;
    const final = await settlement.finalise(closed.value.record.epoch);
    if (!final.ok) return final;
    const earners = [...ledger.books.payees()]
      .filter((payee) => payee.type !== "pool" && payee.lifetime > 0n)
      .sort((a, b) => (a.lifetime < b.lifetime ? 1 : -1));
    const total = earners.reduce((sum, payee) => sum + payee.lifetime, 0n);
    const row = (payee: (typeof earners)[number]) => ({
      who: (gateway.floor.labels(payee.id) ?? toHex(payee.id)).slice(0, 60),
      OPEN: formatOpen(payee.lifetime),
      part: percent(Number(payee.lifetime), Number(total)),
      state: payee.type === "identity" ? "reserved" : payee.type === "purse" ? "purse" : "claimable",
    });
    output.line(
      `  ${questions.length} questions answered, ${perSecond} a second; ${earners.length} payees earned ${formatOpen(total)} OPEN. The largest, and the smallest:`,
    );
    output.table([...earners.slice(0, 8), ...earners.slice(-1)].map(row));
    const smallest = earners.at(-1)!;
    const explained = await ledger.accounts.statement({ payee: smallest.id, limit: 3 });
    output.line(
      `  the smallest earner's statement: ${explained.lines.map((line) => `${formatOpen(line.amount)} OPEN as ${line.role} in entry ${line.seq}`).join("; ")}`,
    );
    const verdict = await this.#verify();
    if (!verdict.ok) return verdict;
    output.line(
      `  verified again: ${verdict.value.size} entries, ${verdict.value.epochs.length} epochs, ${formatOpen(verdict.value.credits)} OPEN credited and debited`,
    );
    return ok({
      monthQuestions: questions.length,
      perSecond,
      earners: earners.length,
      smallestNano: smallest.lifetime,
      verifiedEntries: verdict.value.size,
      verifiedEpochs: verdict.value.epochs.length,
    });
  }

  async #verify(): Promise<Result<Verdict>> {
    const { ledger, chain, trust, data, publisher } = this.#node;
    await publisher.publish(ledger.books.size());
    const hex = (text: string): Uint8Array => parseHex(text) ?? new Uint8Array(0);
    return verifyJournal({
      read: (path) => fileSink(join(data, "journal")).read(path),
      trust: {
        ledger: ledger.id,
        domain: { chainId: trust.chainId, verifyingContract: hex(trust.settlement) },
        signer: hex(trust.signer),
        ed25519: hex(trust.logKey),
      },
      chainEpoch: (epoch) => chain.chain.epoch(ledger.id, epoch),
      onProgress: (done, total) => this.#output.progress(`verifying ${done} of ${total} entries`),
    });
  }
}

function topKey(weights: ReadonlyMap<string, number>): string {
  return [...weights].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "";
}

function topOf(weights: ReadonlyMap<string, number>): number {
  return weights.get(topKey(weights)) ?? 0;
}

function next(node: Node, output: Output, model: string, question: string): void {
  output.heading("It stays up. Try next, in another terminal:");
  output.line(`  npm run openledger -- ask ${model} "${question}"`);
  output.line("  npm run openledger -- status");
  output.line("  npm run openledger -- receipt list");
  output.line("  npm run openledger -- verify");
  output.line(`  curl ${node.url}/api/openapi.json`);
  output.line("  npm start -- --repo ../your-repository     the same with your own colleagues");
  output.line("  Ctrl-C stops it; the books stay in .openledger");
}
