import type { ContextAsset } from "./context.ts";
import type { Contributor } from "./contributors.ts";
import type { Datanet } from "./datanet.ts";
import type { DatanetVersion } from "./version.ts";

/** A datanet version as Croissant 1.1 metadata (http://mlcommons.org/croissant/1.1): JSON-LD that dataset tools read, with PROV-O provenance. */
export interface ExportedFile {
  readonly name: string;
  readonly bytes: number;
  /** SHA-256, bare hex, as Croissant asks. */
  readonly sha256: string;
  readonly description: string;
}

export interface CroissantFacts {
  readonly datanet: Datanet;
  readonly version: DatanetVersion;
  readonly contexts: readonly ContextAsset[];
  readonly contributors: readonly Contributor[];
  /** Where records come from, without paths: `npm:name@version`, `owner/name@commit`. */
  readonly origins: readonly string[];
  readonly files: readonly ExportedFile[];
  /** Web page of the datanet. */
  readonly url: string;
}

const CROISSANT = "http://mlcommons.org/croissant/1.1";
/** The keys under which an export carries what Croissant has no words for. */
export const DATANET_KEY = "openledger:datanet";
export const CONTEXTS_KEY = "openledger:contexts";

const CREATORS_MAX = 1_000;
const ORIGINS_MAX = 10_000;

export function croissantMetadata(facts: CroissantFacts): Record<string, unknown> {
  const { datanet, version, contributors, files } = facts;
  const latest = facts.contexts.find(({ id }) => id === version.context);
  return {
    "@context": jsonLdContext,
    "@type": "sc:Dataset",
    conformsTo: CROISSANT,
    name: datanet.name,
    description: datanet.description === "" ? datanet.summary : `${datanet.summary}\n\n${datanet.description}`,
    license: `https://spdx.org/licenses/${datanet.licence}`,
    url: facts.url,
    creator: contributors.slice(0, CREATORS_MAX).map(({ names }) => ({ "@type": "Person", name: names[0] ?? "" })),
    datePublished: new Date(version.createdMs).toISOString(),
    dateCreated: new Date(datanet.createdMs).toISOString(),
    keywords: datanet.tags,
    version: `${version.number}.0.0`,
    isLiveDataset: false,
    distribution: files.map(({ name, bytes, sha256, description }) => ({
      "@type": "cr:FileObject",
      "@id": name,
      name,
      description,
      contentUrl: name,
      contentSize: `${bytes} B`,
      encodingFormat: "application/jsonlines",
      sha256,
    })),
    recordSet: [recordSet],
    "prov:wasDerivedFrom": facts.origins
      .slice(0, ORIGINS_MAX)
      .map((origin) => ({ "@id": `urn:openledger:origin:${encodeURIComponent(origin)}` })),
    "prov:wasGeneratedBy": {
      "@type": "prov:Activity",
      "prov:label": `${latest?.method ?? "structure"} ${latest?.methodVersion ?? ""}`.trim(),
    },
    [DATANET_KEY]: datanet,
    [CONTEXTS_KEY]: facts.contexts,
  };
}

/** Croissant 1.1, appendix 1, with the prefixes for PROV-O and for our own keys. */
const jsonLdContext = {
  "@language": "en",
  "@vocab": "http://schema.org/",
  sc: "http://schema.org/",
  cr: "http://mlcommons.org/croissant/",
  rai: "http://mlcommons.org/croissant/RAI/",
  dct: "http://purl.org/dc/terms/",
  prov: "http://www.w3.org/ns/prov#",
  openledger: "urn:openledger:",
  annotation: "cr:annotation",
  arrayShape: "cr:arrayShape",
  citeAs: "cr:citeAs",
  column: "cr:column",
  conformsTo: "dct:conformsTo",
  containedIn: "cr:containedIn",
  data: { "@id": "cr:data", "@type": "@json" },
  dataType: { "@id": "cr:dataType", "@type": "@vocab" },
  equivalentProperty: "cr:equivalentProperty",
  examples: { "@id": "cr:examples", "@type": "@json" },
  excludes: "cr:excludes",
  extract: "cr:extract",
  field: "cr:field",
  fileProperty: "cr:fileProperty",
  fileObject: "cr:fileObject",
  fileSet: "cr:fileSet",
  format: "cr:format",
  includes: "cr:includes",
  isArray: "cr:isArray",
  isLiveDataset: "cr:isLiveDataset",
  jsonPath: "cr:jsonPath",
  key: "cr:key",
  md5: "cr:md5",
  parentField: "cr:parentField",
  recordSet: "cr:recordSet",
  references: "cr:references",
  regex: "cr:regex",
  readLines: "cr:readLines",
  sdVersion: "cr:sdVersion",
  separator: "cr:separator",
  source: "cr:source",
  subField: "cr:subField",
  transform: "cr:transform",
  unArchive: "cr:unArchive",
  value: "cr:value",
  [DATANET_KEY]: { "@id": "urn:openledger:datanet", "@type": "@json" },
  [CONTEXTS_KEY]: { "@id": "urn:openledger:contexts", "@type": "@json" },
} as const;

const recordSet = {
  "@type": "cr:RecordSet",
  "@id": "records",
  name: "records",
  description: "One structural piece of a document a record, with its context and its authors.",
  key: { "@id": "records/id" },
  field: [
    column("id", "SHA-256 over content and context", "sc:Text"),
    column("contributionId", "The contribution that brought the record", "sc:Text"),
    column("title", "What the document is called", "sc:Text"),
    column("headingPath", "The headings above the record, outermost first", "sc:Text", {
      isArray: true,
      arrayShape: "-1",
    }),
    column("text", "The record itself", "sc:Text"),
    column("source", "Where it comes from", "sc:Text", { equivalentProperty: "prov:wasDerivedFrom" }),
    column("licence", "SPDX expression", "sc:Text", { equivalentProperty: "sc:license" }),
    column("date", "ISO 8601, where the source gives one", "sc:Text"),
    {
      ...column("authors", "Who wrote it", "prov:Person", {
        isArray: true,
        arrayShape: "-1",
        equivalentProperty: "prov:wasAttributedTo",
      }),
      subField: [subColumn("authors", "identity", "External identity"), subColumn("authors", "name", "Name")],
    },
  ],
};

function column(
  name: string,
  description: string,
  dataType: string,
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    "@type": "cr:Field",
    "@id": `records/${name}`,
    name,
    description,
    dataType,
    source: { fileObject: { "@id": "records.jsonl" }, extract: { column: name } },
    ...more,
  };
}

function subColumn(parent: string, name: string, description: string): Record<string, unknown> {
  return {
    "@type": "cr:Field",
    "@id": `records/${parent}/${name}`,
    name,
    description,
    dataType: "sc:Text",
    source: { fileObject: { "@id": "records.jsonl" }, extract: { jsonPath: `$.${parent}[*].${name}` } },
  };
}
