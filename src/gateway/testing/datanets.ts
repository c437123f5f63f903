import { ok, refuse } from "../../core/result.ts";
import type { ContributionView, DatanetView, RecordView } from "../../protocol/datanets.ts";
import type { DatanetDirectory } from "../ports.ts";

/** One small datanet for tests of the own API. */
export function testDatanets(): DatanetDirectory {
  const datanet: DatanetView = {
    ...{
      id: `0x${"da".repeat(32)}`,
      name: "npm-docs",
      summary: "Docs of dependencies",
      tags: ["docs"],
      licence: "MIT",
      records: 2,
      contributors: 1,
      version: 2,
    },
  };
  const records: RecordView[] = ["alpha", "beta"].map((title, i) => ({
    ...{
      id: `r${i}`,
      contributionId: "c1",
      title,
      headingPath: [title],
      text: `about ${title}`,
      source: "npm:a@1 README.md",
    },
    ...{ licence: "MIT", date: null, authors: [{ identity: "npm:a", name: "A" }] },
  }));
  const contributions = new Map<string, ContributionView>([
    ["c1", { id: "c1", state: "open", records: 2, createdMs: 1 }],
  ]);
  const unknown = (name: string) => refuse("not_found", `there is no datanet ${name}`);
  const when = <T>(name: string, value: T) => (name === datanet.name ? ok(value) : unknown(name));
  return {
    list: async () => [datanet],
    get: async (name) => when(name, datanet),
    versions: async (name) =>
      when(name, [{ version: 2, contentRoot: "0x02", records: 2, contributions: 1, createdMs: 2 }]),
    diff: async (name, from, to) => when(name, { from, to, added: ["r1"], removed: [], moved: [], unchanged: 1 }),
    records: async (name, { q = "", limit, offset }) => {
      const found = records.filter((record) => record.text.includes(q));
      return when(name, { data: found.slice(offset, offset + limit), total: found.length });
    },
    contributors: async (name) =>
      when(name, [{ payee: "0x01", label: "npm:a", names: ["A"], records: 2, accrued: "7" }]),
    contributions: async (name) => when(name, [...contributions.values()]),
    review: async (name, id, { decision, reason, by }) => {
      const contribution = contributions.get(id);
      if (name !== datanet.name || contribution === undefined)
        return refuse("not_found", `there is no contribution ${id}`);
      if (contribution.state !== "open") return refuse("conflict", `it was ${contribution.state} already`);
      const decided = {
        ...contribution,
        state: decision === "approve" ? ("approved" as const) : ("rejected" as const),
        reason,
        by,
      };
      contributions.set(id, decided);
      return ok(decided);
    },
  };
}
