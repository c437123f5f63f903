import { type Citations, passAlongCitations } from "../attribution/citations.ts";
import { PPM } from "../attribution/policy.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { CitedPart } from "./people.ts";

/** So many records around one are looked at; what is passed further stays with the last of them. */
const REACHED_MAX = 1_024;

/**
 * Which part of a record's credit goes to what it builds on, as its document declares: along the datanets' citations by the absorbing chain, in which each record
 * keeps `keepPpm` of what reaches it. A citation counts once for each document that it names, in equal parts for that document's records. Of a record that
 * cites nothing here it is undefined.
 */
export async function citedParts(
  store: Pick<DatanetStore, "contributions">,
  datanets: readonly string[],
  records: readonly DatanetRecord[],
  keepPpm: number,
): Promise<((record: DatanetRecord) => readonly CitedPart[] | undefined) | undefined> {
  const cites = await citationsOf(store, datanets, records);
  if (cites.size === 0) return undefined;
  const numbers = new Map<string, number>(records.map(({ id }, i) => [id, i]));
  const known = new Map<number, readonly CitedPart[]>();
  return ({ id }) => {
    const number = numbers.get(id);
    if (number === undefined || !cites.has(number)) return undefined;
    const parts = known.get(number) ?? partsFrom(number, cites, keepPpm / PPM, records);
    known.set(number, parts);
    return parts;
  };
}

function partsFrom(
  first: number,
  cites: ReadonlyMap<number, Citations[number]>,
  keep: number,
  records: readonly DatanetRecord[],
): readonly CitedPart[] {
  const reached = [first];
  const places = new Map([[first, 0]]);
  for (let at = 0; at < reached.length; at++)
    for (const { to } of cites.get(reached[at]!) ?? []) {
      if (places.has(to) || reached.length >= REACHED_MAX) continue;
      places.set(to, reached.length);
      reached.push(to);
    }
  const local = reached.map((number) =>
    (cites.get(number) ?? []).flatMap(({ to, weight }) => {
      const place = places.get(to);
      return place === undefined ? [] : [{ to: place, weight }];
    }),
  );
  const kept = passAlongCitations([1, ...new Array<number>(reached.length - 1).fill(0)], local, keep);
  return reached.map((number, i) => ({ record: records[number]!, part: kept[i]! })).filter(({ part }) => part > 0);
}

/** By number of the record; only those that cite a document that is here. */
async function citationsOf(
  store: Pick<DatanetStore, "contributions">,
  datanets: readonly string[],
  records: readonly DatanetRecord[],
): Promise<ReadonlyMap<number, Citations[number]>> {
  const numbers = new Map<string, number>(records.map(({ id, contributionId }, i) => [id + contributionId, i]));
  const documents: { readonly own: readonly number[]; readonly cites: readonly string[] }[] = [];
  const byId = new Map<string, number[]>();
  for (const datanet of datanets)
    for (const { id: contribution, documents: said = [] } of await store.contributions(datanet, "approved"))
      for (const { id, records: ids, cites } of said) {
        const own = ids.map((record) => numbers.get(record + contribution)).filter((number) => number !== undefined);
        documents.push({ own, cites });
        byId.set(id, [...(byId.get(id) ?? []), ...own]);
      }
  const found = new Map<number, { readonly to: number; readonly weight: number }[]>();
  for (const { own, cites } of documents)
    for (const cited of cites) {
      const targets = byId.get(cited) ?? [];
      for (const number of own) {
        const others = targets.filter((to) => !own.includes(to));
        const list = found.get(number) ?? [];
        list.push(...others.map((to) => ({ to, weight: 1 / others.length })));
        if (list.length > 0) found.set(number, list);
      }
    }
  return found;
}
