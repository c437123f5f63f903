import { unwrap } from "../src/core/result.ts";
import { type Draft, type Income, incomeOf, recordOf, type World, worldOf } from "./support/attackWorld.ts";
import { reword } from "./support/groundingQuestions.ts";
import { hashNumber, type ManualPage, questionFor, readManualPages } from "./support/manualPages.ts";

const PAGES = 2_000;
const QUESTIONS = 400;

/**
 * What people could try to be paid for what they did not do, through the real intake, the real retrieval, writer, evidence, weights and routes, over real
 * contributors. The same questions are paid with and without the attack. Told: by how much of the contributors' income the attackers' share rises,
 * and by how much of their own income the victim's falls; the victim is who earns most.
 */
export async function run(): Promise<void> {
  const all = readManualPages();
  if (all === undefined) return;
  const pages = all.toSorted((a, b) => hashNumber(`page ${a.id}`) - hashNumber(`page ${b.id}`)).slice(0, PAGES);
  const questions = questionsOf(pages);
  const honest = pages.map((page) => recordOf(page.authors, page.title, page.text, page.source));
  const before = await settle(honest, questions);
  const [victim = "", second = ""] = [...before.income.byIdentity].sort(([, a], [, b]) => b - a).map(([who]) => who);
  const own = honest.filter(({ authors }) => authors.some(({ identity }) => identity === victim));
  const rows: Record<string, object> = {};
  const figures: Record<string, object> = {};
  for (const [name, attack] of Object.entries(attacksOn(own, honest, second))) {
    const after = await settle(attack.records, questions);
    const total = after.income.contributors;
    const rise =
      shareOf(after.income, attack.attackers, total) -
      shareOf(before.income, attack.before ?? [], before.income.contributors);
    const fall = 1 - (after.income.byIdentity.get(victim) ?? 0) / before.income.byIdentity.get(victim)!;
    const [risePercent, fallPercent] = [round(100 * rise), round(100 * fall)];
    figures[name] = { risePercent, fallPercent };
    rows[name] = {
      ...{ "put in": attack.count, "taken as records": after.world.recordsBy(attack.attackers) },
      ...{ "attackers' share rises, %": risePercent, "victim's income falls, %": fallPercent },
    };
  }
  const wrongly = wronglyCollapsed(before.world, pages);
  console.log(
    `${before.world.records.length} records of ${before.income.byIdentity.size} paid contributors, ${questions.length} questions; the victim has ${own.length} records`,
  );
  console.table(rows);
  console.log(
    `honest records that stand behind another: ${wrongly.collapsed}, of which ${wrongly.wrongly} explain a command of another name`,
  );
  console.log(JSON.stringify({ pages: PAGES, questions: questions.length, attacks: figures, honest: wrongly }));
}

interface Attack {
  /** All that is in the datanet, in order of registration. */
  readonly records: readonly Draft[];
  readonly attackers: readonly string[];
  /** Identities whose share the attackers had before. */
  readonly before?: readonly string[];
  readonly count: number;
}

function attacksOn(own: readonly Draft[], honest: readonly Draft[], second: string): Record<string, Attack> {
  const by = (n: number, made: (one: Draft, attacker: number) => Draft): Attack => {
    const attackers = Array.from({ length: n }, (_, i) => `author:github.com/tldr-pages/tldr#attacker ${i}`);
    const put = attackers.flatMap((identity, i) =>
      own.map((one) => ({ ...made(one, i), authors: [{ identity, name: `attacker ${i}` }] })),
    );
    return { records: [...honest, ...put], attackers, count: put.length };
  };
  const ten = Array.from({ length: 10 }, (_, i) => `author:github.com/tldr-pages/tldr#split ${i}`);
  let turn = 0;
  const isSeconds = ({ authors }: Draft): boolean => authors.some(({ identity }) => identity === second);
  const split = honest.map((one) =>
    isSeconds(one)
      ? {
          ...one,
          authors: one.authors.map((author) =>
            author.identity === second ? { identity: ten[turn++ % 10]!, name: "split" } : author,
          ),
        }
      : one,
  );
  const stuffed = (one: Draft, i: number): Draft => ({
    ...one,
    ...{
      source: `${one.source} k${i}`,
      title: own
        .map(({ title }) => title)
        .join(" ")
        .slice(0, 200),
    },
    text: `${own.map(({ title }) => title).join(" ")} ${one.title} how do I with ${one.title}: a helpful page number ${hashNumber(one.source) % 1_000}`,
  });
  return {
    "prior padding: pages that nobody asks for": by(5, padding),
    "the victim's pages under names beside theirs (reported)": by(5, (one, i) =>
      renamed(one, i, `${one.title.split(" ")[0]}-${hashNumber(`${one.source} ${i}`).toString(36)}`),
    ),
    "one copy": by(1, (one) => ({ ...one, source: `${one.source} c` })),
    "five copies, each a little changed": by(5, (one, i) => ({
      ...one,
      source: `${one.source} c${i}`,
      text: `${one.text.replaceAll("a", i % 2 === 0 ? "а" : "a")}\n\nPage ${i}.`,
    })),
    "split into ten identities": {
      records: split,
      attackers: ten,
      before: [second],
      count: honest.filter(isSeconds).length,
    },
    "outlier spam": by(5, spam),
    "format mimicry": by(5, (one, i) => mimicry(one, i)),
    "format mimicry in other words (reported)": by(5, (one, i) => mimicry(one, i, reword)),
    "stuffed with names": by(5, stuffed),
    "paraphrase (reported)": by(1, (one) => ({ ...one, source: `${one.source} p`, text: reword(one.text) })),
    "paraphrase by five (reported)": by(5, (one, i) => ({
      ...one,
      source: `${one.source} p${i}`,
      text: reword(one.text).replace(/^> .*$/m, `> The page of ${one.title}, told in way ${i}.`),
    })),
  };
}

/** A real page under another name. */
function renamed(one: Draft, i: number, name: string): Draft {
  return { ...one, source: `${one.source} ${name} ${i}`, title: name, text: one.text.replaceAll(one.title, name) };
}

/** A page in the form of others, of a command that nobody has and for tasks that nobody asks for. */
function padding(one: Draft, i: number): Draft {
  const word = (n: number): string => `${hashNumber(`${one.source} ${i} pad ${n}`).toString(36)}ly`;
  const tasks = [0, 1, 2].map((n) => `- ${word(n)} a ${word(n + 3)}:\n\n\`${word(9)} --${word(n + 6)}\``);
  const text = `# ${word(9)}\n\n> ${word(10)} the ${word(11)}.\n\n${tasks.join("\n\n")}`;
  return { ...one, source: `${one.source} q${i}`, title: word(9), text };
}

/** A page's title and introduction, `told` in some way, around a task that says nothing. */
function mimicry(one: Draft, attacker: number, told: (text: string) => string = (text) => text): Draft {
  const lines = told(one.text)
    .split("\n")
    .filter((line) => !line.startsWith("`") && !/^- /.test(line));
  return {
    ...one,
    source: `${one.source} m${attacker}`,
    text: `${lines.join("\n").trim()}\n\n- Do what this command does, in the way that it does it:\n\n\`${one.title} {{everything}}\``,
  };
}

function spam(one: Draft, attacker: number): Draft {
  const words = Array.from({ length: 60 }, (_, w) => `${hashNumber(`${one.source} ${attacker} ${w}`).toString(36)}qx`);
  return { ...one, title: words[0]!, source: `${one.source} s${attacker}`, text: words.join(" ") };
}

async function settle(
  records: readonly Draft[],
  questions: readonly string[],
): Promise<{ world: World; income: Income }> {
  const world = unwrap(await worldOf(records));
  return { world, income: incomeOf(world, questions) };
}

function questionsOf(pages: readonly ManualPage[]): string[] {
  return pages
    .filter(({ tasks }) => tasks.length > 0)
    .slice(0, QUESTIONS)
    .map((page) => questionFor(page.tasks[hashNumber(`ask ${page.id}`) % page.tasks.length]!, page.title));
}

function shareOf(income: Income, identities: readonly string[], total: number): number {
  return identities.reduce((sum, identity) => sum + (income.byIdentity.get(identity) ?? 0), 0) / total;
}

function wronglyCollapsed({ collapsed }: World, pages: readonly ManualPage[]): { collapsed: number; wrongly: number } {
  const commandsOf = new Map(pages.map(({ source, title }) => [source, title.toLowerCase()]));
  const wrongly = collapsed.filter(([own, other]) => commandsOf.get(own) !== commandsOf.get(other));
  return { collapsed: collapsed.length, wrongly: wrongly.length };
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
