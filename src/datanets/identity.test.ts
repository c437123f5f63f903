import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, u64 } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { authorIdentity, emailIdentity, identityPayeeId, parseIdentity, repositoryIdentity } from "./identity.ts";
import { packageFacts } from "./packageJson.ts";

describe("repositoryIdentity", () => {
  it.each([
    ["git+https://github.com/Fastify/fastify.git", "repo:github.com/fastify/fastify"],
    ["https://github.com/a/b", "repo:github.com/a/b"],
    ["http://www.github.com/a/b/", "repo:github.com/a/b"],
    ["https://github.com/a/b/tree/main/packages/c", "repo:github.com/a/b"],
    ["https://github.com/a/b#readme", "repo:github.com/a/b"],
    ["https://github.com/a/b.js.git", "repo:github.com/a/b.js"],
    ["git+ssh://git@github.com/a/b.git", "repo:github.com/a/b"],
    ["ssh://git@github.com:22/a/b.git", "repo:github.com/a/b"],
    ["git@github.com:a/b.git", "repo:github.com/a/b"],
    ["git://github.com/a/b.git", "repo:github.com/a/b"],
    ["github:a/b", "repo:github.com/a/b"],
    ["gitlab:a/b", "repo:gitlab.com/a/b"],
    ["bitbucket:a/b", "repo:bitbucket.org/a/b"],
    ["a/b", "repo:github.com/a/b"],
    ["a/b#branch", "repo:github.com/a/b"],
    ["https://gitlab.com/group/sub/name.git", "repo:gitlab.com/group/sub/name"],
    ["https://token:x@github.com/a/b.git", "repo:github.com/a/b"],
    ["https://git.example.org/Team/Tool", "repo:git.example.org/Team/Tool"],
    ["gist:abc123", undefined],
    ["https://gist.github.com/a/b", undefined],
    ["https://github.com/a", undefined],
    ["https://github.com/../etc", undefined],
    ["https://github.com/a/..", undefined],
    ["file:///etc/passwd", undefined],
    ["https://gïthub.com/a/b", undefined],
    ["not a url", undefined],
    ["", undefined],
  ])("%j is %j", (location, identity) => expect(repositoryIdentity(location)).toBe(identity));
});

describe("parseIdentity", () => {
  it.each([
    ["repo:GitHub.com/A/B", "repo:github.com/a/b"],
    ["npm:@scope/name", "npm:@scope/name"],
    ["git:Ann@Example.ORG", "git:ann@example.org"],
    ["author:github.com/A/B#Ann  Lee", "author:github.com/a/b#ann lee"],
    ["author:#Ann", "author:#ann"],
    ["repo:github.com", undefined],
    ["npm:../x", undefined],
    ["git:nobody", undefined],
    ["git:a@b@c", undefined],
    ["0x1234", undefined],
    ["user:me", undefined],
  ])("%j is %j", (text, identity) => {
    const parsed = parseIdentity(text);
    expect(parsed.ok ? parsed.value.text : undefined).toBe(identity);
  });

  it("is the same when parsed again", () => {
    const text = fc.oneof(
      fc.string().map((name) => authorIdentity("github.com/a/b", name)),
      fc.emailAddress().map((email) => `git:${email}`),
      fc.webUrl().map((url) => `repo:${url}`),
    );
    fc.assert(
      fc.property(text, (text) => {
        const once = parseIdentity(text);
        if (once.ok) expect(parseIdentity(once.value.text)).toEqual(once);
      }),
    );
  });

  it("folds what a reader takes for the same name", () => {
    expect(authorIdentity("github.com/a/b", "  Ann\u200b  LEE ")).toBe("author:github.com/a/b#ann lee");
    expect(emailIdentity("Ann <ann@x.org>")).toBeUndefined();
  });
});

describe("identityPayeeId", () => {
  const scope = {
    chainId: 31_337,
    registry: new Uint8Array(20).fill(1),
    datanet: new Uint8Array(32).fill(2),
    secret: new Uint8Array(32).fill(3),
  };

  it("is keccak256(u64 chainId ‖ registry ‖ datanet ‖ HMAC-SHA-256(secret, identity))", () => {
    const mac = createHmac("sha256", scope.secret).update("npm:x").digest();
    expect(identityPayeeId(scope, "npm:x")).toEqual(keccak256(concat(u64(31_337), scope.registry, scope.datanet, mac)));
  });

  it("differs by every part of its scope", () => {
    const other = new Uint8Array(32).fill(9);
    const ids = [
      scope,
      { ...scope, chainId: 1 },
      { ...scope, registry: other.slice(12) },
      { ...scope, datanet: other },
      { ...scope, secret: other },
    ];
    expect(new Set(ids.map((one) => identityPayeeId(one, "npm:x").join())).size).toBe(5);
    expect(identityPayeeId(scope, "npm:y")).not.toEqual(identityPayeeId(scope, "npm:x"));
  });
});

describe("packageFacts", () => {
  const base = { name: "tool", version: "1.0.0", license: "MIT" };
  it.each([
    [{ ...base, repository: "github:a/b" }, "repo:github.com/a/b", []],
    [{ ...base, repository: { type: "git", url: "git+https://github.com/a/b.git" } }, "repo:github.com/a/b", []],
    [{ ...base, repository: "somewhere" }, "npm:tool", []],
    [{ ...base, author: "Ann Lee <ann@x.org> (https://x.org)" }, "npm:tool", ["Ann Lee"]],
    [
      {
        ...base,
        author: { name: "Ann" },
        contributors: ["Bob <b@x.org>", { name: "Cy" }],
        maintainers: [{ name: "Ann" }],
      },
      "npm:tool",
      ["Ann", "Bob", "Cy"],
    ],
    [{ ...base, author: "ann@x.org" }, "npm:tool", []],
    [{ ...base, license: undefined, licenses: [{ type: "MIT" }] }, "npm:tool", []],
    [{ ...base, license: { type: "MIT", url: "x" } }, "npm:tool", []],
  ])("%j", (manifest, identity, people) => {
    expect(packageFacts(manifest)).toMatchObject({ ok: true, value: { identity, people, licence: "MIT" } });
  });

  it.each([
    [{ ...base, license: undefined }, "no licence is stated"],
    [{ ...base, license: "UNLICENSED" }, "not among those allowed"],
    [{ ...base, license: "Custom: http://x" }, "not an SPDX"],
    [{ license: "MIT" }, "no name"],
    [null, "does not hold an object"],
  ])("%j is left out", (manifest, why) => {
    const facts = packageFacts(manifest);
    expect(facts.ok ? "" : facts.error.message).toContain(why);
  });
});
