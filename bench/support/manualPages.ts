import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { utf8 } from "../../src/core/bytes.ts";
import { keccak256 } from "../../src/core/hash.ts";

const pageSchema = z.object({
  ...{ id: z.string(), title: z.string(), text: z.string(), license: z.string(), source: z.string() },
  ...{ date: z.string(), authors: z.array(z.string()) },
});

/** A short manual page of a real contributor, with the tasks that it explains. */
export interface ManualPage extends z.infer<typeof pageSchema> {
  readonly tasks: readonly ManualTask[];
}

export interface ManualTask {
  /** "Extract an archive to a directory". */
  readonly task: string;
  /** The command line that does it. */
  readonly command: string;
}

const DATA = "../shared/data/tldr.jsonl.gz";

/** In order of date; undefined, with a notice, where the data is not at hand. */
export function readManualPages(): ManualPage[] | undefined {
  if (!existsSync(DATA)) {
    console.log(`${DATA} is absent: nothing to measure on`);
    return undefined;
  }
  const lines = gunzipSync(readFileSync(DATA)).toString("utf8").trim().split("\n");
  return lines.map((line) => {
    const page = pageSchema.parse(JSON.parse(line));
    return { ...page, tasks: tasksOf(page.text) };
  });
}

/** How a person asks for a task: "How do I extract an archive to a directory with tar?" */
export function questionFor({ task }: ManualTask, title: string): string {
  const plain = task.replaceAll(/\[([^\]]*)\]/g, "$1").replaceAll("`", "");
  return `How do I ${plain.slice(0, 1).toLowerCase()}${plain.slice(1)} with ${title}?`;
}

/** A whole number in [0, 2^32) that a text always gets: for samples and halves that nobody chose. */
export function hashNumber(text: string): number {
  const hash = keccak256(utf8(text));
  return (hash[0]! * 2 ** 24 + hash[1]! * 2 ** 16 + hash[2]! * 256 + hash[3]!) >>> 0;
}

/** Wilson's interval (1927) of a share, at 95 %. */
export function wilsonInterval(hits: number, count: number): readonly [low: number, high: number] {
  const z = 1.96;
  const share = hits / count;
  const centre = share + (z * z) / (2 * count);
  const spread = z * Math.sqrt((share * (1 - share)) / count + (z * z) / (4 * count * count));
  return [(centre - spread) / (1 + (z * z) / count), (centre + spread) / (1 + (z * z) / count)];
}

function tasksOf(text: string): ManualTask[] {
  return [...text.matchAll(/^- (.+):\n\n`(.+)`$/gm)].map(([, task, command]) => ({ task: task!, command: command! }));
}
