import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, type Hex, toBase64, utf8 } from "../core/bytes.ts";
import { ok, unwrap } from "../core/result.ts";
import { applyProof, type Binding, boundAddress, expire, settleNotice } from "./binding.ts";
import { commitSigner, parseCommit, signersOf } from "./gitCommit.ts";
import { type BindingProof, type ProofAction, proveByCommit, proveByFundingFile } from "./proof.ts";
import { field, parseSshSignature } from "./sshSignature.ts";

const datanet: Hex = `0x${"d1".repeat(32)}`;
const ledger: Hex = `0x${"1e".repeat(32)}`;
const address: Hex = `0x${"ad".repeat(20)}`;
const other: Hex = `0x${"0b".repeat(20)}`;

function keys() {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return { privateKey, raw: publicKey.export({ type: "spki", format: "der" }).subarray(12) };
}

/** An SSHSIG as `ssh-keygen -Y sign` makes it, from its specification. */
function sshSign(
  key: { privateKey: KeyObject; raw: Uint8Array },
  message: Uint8Array,
  namespace = "git",
  hash = "sha512",
): string {
  const digest = createHash(hash).update(message).digest();
  const data = concat(
    utf8("SSHSIG"),
    field(utf8(namespace)),
    field(new Uint8Array()),
    field(utf8(hash)),
    field(digest),
  );
  const publicKey = concat(field(utf8("ssh-ed25519")), field(key.raw));
  const signature = concat(field(utf8("ssh-ed25519")), field(sign(null, data, key.privateKey)));
  const blob = concat(
    utf8("SSHSIG"),
    Uint8Array.of(0, 0, 0, 1),
    field(publicKey),
    field(utf8(namespace)),
    field(new Uint8Array()),
    field(utf8(hash)),
    field(signature),
  );
  return `-----BEGIN SSH SIGNATURE-----\n${toBase64(blob)
    .match(/.{1,70}/g)!
    .join("\n")}\n-----END SSH SIGNATURE-----`;
}

function commitBy(email: string, message: string, key?: ReturnType<typeof keys>, namespace?: string): Uint8Array {
  const head = `tree ${"0".repeat(40)}\nauthor Ann <${email}> 1600000000 +0000\ncommitter Ann <${email}> 1600000000 +0000\n`;
  if (key === undefined) return utf8(`${head}\n${message}`);
  const signature = sshSign(key, utf8(`${head}\n${message}`), namespace);
  return utf8(`${head}gpgsig ${signature.replaceAll("\n", "\n ")}\n\n${message}`);
}

const ann = keys();
const eve = keys();
const target = { datanet, ledger, identity: "git:ann@x.org" };
const bindLine = `OpenLedger-Bind: ${datanet} ${address} ${ledger}`;

describe("signed commits", () => {
  const known = signersOf([
    commitBy("ann@x.org", "work", ann),
    commitBy("eve@x.org", "other work", eve),
    commitBy("ann@x.org", "unsigned"),
  ]).get("git:ann@x.org")!;

  it("bind by the key that signed the author's earlier commits", () => {
    const object = commitBy("Ann@X.org", `chore: claim\n\n${bindLine}\n`, ann);
    expect(proveByCommit(target, object, known)).toMatchObject({
      ok: true,
      value: {
        kind: "signedCommit",
        action: "bind",
        address,
        ...target,
        evidence: createHash("sha1").update(`commit ${object.length}\0`).update(object).digest("hex"),
      },
    });
    const leave = commitBy("ann@x.org", `x\n\nOpenLedger-Leave: ${datanet} ${ledger}`, ann);
    expect(proveByCommit(target, leave, known)).toMatchObject({ ok: true, value: { action: "leave", address: null } });
  });

  it.each<[string, Uint8Array, string]>([
    ["an unsigned commit", commitBy("ann@x.org", bindLine), "proof_invalid"],
    ["a key that is new, under the author's name", commitBy("ann@x.org", bindLine, eve), "binding_refused"],
    ["another author", commitBy("eve@x.org", bindLine, eve), "binding_refused"],
    ["another author's commit with the right key", commitBy("eve@x.org", bindLine, ann), "binding_refused"],
    ["a signature for files, not for git", commitBy("ann@x.org", bindLine, ann, "file"), "proof_invalid"],
    ["no line", commitBy("ann@x.org", "work", ann), "proof_invalid"],
    ["two lines", commitBy("ann@x.org", `${bindLine}\n${bindLine}`, ann), "proof_invalid"],
    ["another ledger", commitBy("ann@x.org", bindLine.replace(ledger, datanet), ann), "proof_invalid"],
    [
      "the zero address",
      commitBy("ann@x.org", bindLine.replace(address, `0x${"00".repeat(20)}`), ann),
      "proof_invalid",
    ],
    ["a line within a line", commitBy("ann@x.org", `> ${bindLine}`, ann), "proof_invalid"],
    ["no commit", utf8("tree x\n\ny"), "proof_invalid"],
  ])("do not bind with %s", (_, object, code) =>
    expect(proveByCommit(target, object, known)).toMatchObject({ ok: false, error: { code } }),
  );

  it("hold over every byte of the commit but the signature header", () => {
    const object = commitBy("ann@x.org", bindLine, ann);
    expect(commitSigner(unwrap(parseCommit(object))).ok).toBe(true);
    for (let at = 0; at < object.length; at++) {
      const changed = object.slice();
      changed[at] = changed[at]! ^ 1;
      const commit = parseCommit(changed);
      if (commit.ok && commitSigner(commit.value).ok) {
        const text = Buffer.from(changed).toString("latin1");
        expect(text.slice(0, at)).toContain("gpgsig");
        expect(text.slice(at)).toContain("END SSH");
        expect(commit.value.payload).toEqual(unwrap(parseCommit(object)).payload);
      }
    }
  });

  it("reads a commit that git and ssh-keygen signed", () => {
    const object = [
      "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
      "author Ann <ann@x.org> 1795247578 +0000",
      "committer Ann <ann@x.org> 1795247578 +0000",
      "gpgsig -----BEGIN SSH SIGNATURE-----",
      " U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgBe4D+VM5tAPQa6TOz5DLVSAlFW",
      " yE7JHQ1xqJnUBZHJ4AAAADZ2l0AAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1lZDI1NTE5",
      " AAAAQAfFkOn/Ul0jUlGRZTmLOxm/UQRe3cERgVz8AcUvbOTPmSq9GnVi5egH7lqaYzi2c0",
      " zON+LPwJnqHK9NvGfixgk=",
      " -----END SSH SIGNATURE-----",
      "",
      "work: first",
      "",
    ].join("\n");
    const commit = unwrap(parseCommit(utf8(object)));
    expect(commit).toMatchObject({
      id: "dc50b3bd7f25f48dc55f2444334854cd6e6f36e8",
      author: "git:ann@x.org",
      message: "work: first\n",
    });
    expect(commitSigner(commit)).toEqual({
      ok: true,
      value: "0x05ee03f95339b403d06ba4cecf90cb552025156c84ec91d0d71a899d40591c9e",
    });
    expect(commitSigner(unwrap(parseCommit(utf8(object.replace("work: first", "work: other"))))).ok).toBe(false);
    expect(parseSshSignature("-----BEGIN PGP SIGNATURE-----\nabc\n-----END PGP SIGNATURE-----").ok).toBe(false);
  });
});

describe("FUNDING.json", () => {
  const repo = { datanet, ledger, identity: "repo:github.com/o/tool" };
  const prove = (content: unknown, to = repo) =>
    proveByFundingFile(to, async (repository, file) => {
      expect([repository, file]).toEqual(["github.com/o/tool", "FUNDING.json"]);
      return ok({ bytes: utf8(typeof content === "string" ? content : JSON.stringify(content)), commit: "c0ffee" });
    });

  it.each<[string, unknown, unknown]>([
    ["our entry", { openledger: [{ datanet, ledger, address }] }, { action: "bind", address }],
    [
      "our only entry",
      { openledger: { datanet, ledger, address, action: "redirect" } },
      { action: "redirect", address },
    ],
    [
      "our entry before Drips",
      { drips: { ethereum: { ownedBy: other } }, openledger: [{ datanet, ledger, address }] },
      { action: "bind", address },
    ],
    [
      "Drips",
      { drips: { ethereum: { ownedBy: address.toUpperCase().replace("0X", "0x") } } },
      { action: "bind", address },
    ],
    [
      "Drips, where our entry is for another ledger",
      { drips: { ethereum: { ownedBy: address } }, openledger: [{ datanet, ledger: datanet, address: other }] },
      { action: "bind", address },
    ],
    ["a refusal", { openledger: [{ datanet, ledger, action: "refuse" }] }, { action: "refuse", address: null }],
  ])("%s", async (_, content, said) => {
    expect(await prove(content)).toMatchObject({
      ok: true,
      value: { kind: "fundingFile", evidence: "c0ffee", ...repo, ...(said as object) },
    });
  });

  it.each<[string, unknown]>([
    ["no JSON", "{"],
    ["a list", []],
    ["nothing for us", { drips: { filecoin: { ownedBy: address } } }],
    [
      "two entries",
      {
        openledger: [
          { datanet, ledger, address },
          { datanet, ledger, address: other },
        ],
      },
    ],
    ["a short address", { openledger: [{ datanet, ledger, address: "0x12" }] }],
    ["an unknown action", { openledger: [{ datanet, ledger, address, action: "take" }] }],
    ["too large", " ".repeat(70_000)],
  ])("%s proves nothing", async (_, content) =>
    expect(await prove(content)).toMatchObject({ ok: false, error: { code: "proof_invalid" } }),
  );

  it("speaks for repositories only", async () => {
    expect(await prove({}, target)).toMatchObject({ ok: false, error: { code: "binding_refused" } });
  });
});

describe("the binding of an identity", () => {
  let made = 0;
  const proof = (
    action: ProofAction,
    to: Hex | null = action === "bind" || action === "redirect" ? address : null,
  ): BindingProof => ({
    kind: "fundingFile",
    action,
    datanet,
    ledger,
    identity: "repo:github.com/o/tool",
    address: to,
    hash: `0x${String(++made).padStart(64, "0")}`,
    evidence: "c0ffee",
  });
  const at = (timeMs: number) => ({ noticeMs: 100, timeMs });

  it("is noticed, then bound, and paid only then", () => {
    const noticed = unwrap(applyProof(undefined, proof("bind"), at(10)));
    expect(noticed).toMatchObject({ state: "noticed", to: address, noticedMs: 10, noticeEndsMs: 110 });
    expect([boundAddress(noticed, 109), boundAddress(noticed, 110), boundAddress(undefined, 1)]).toEqual([
      undefined,
      address,
      undefined,
    ]);
    expect(settleNotice(noticed, 200)).toMatchObject({ state: "bound", changedMs: 110 });
  });

  it("starts its notice again when the identity names another address, and can be refused until it is over", () => {
    const noticed = unwrap(applyProof(undefined, proof("bind"), at(10)));
    expect(unwrap(applyProof(noticed, proof("bind", other), at(50)))).toMatchObject({
      state: "noticed",
      to: other,
      noticeEndsMs: 150,
    });
    expect(applyProof(noticed, proof("bind"), at(50))).toMatchObject({ ok: false, error: { code: "binding_refused" } });
    expect(unwrap(applyProof(noticed, proof("refuse"), at(50)))).toMatchObject({ state: "refused", to: null });
    expect(applyProof(noticed, proof("refuse"), at(110))).toMatchObject({
      ok: false,
      error: { code: "binding_refused" },
    });
  });

  it("is redirected with a notice of its own, by the identity", () => {
    const noticed = unwrap(applyProof(undefined, proof("bind"), at(0)));
    const redirected = unwrap(applyProof(noticed, proof("redirect", other), at(200)));
    expect([boundAddress(redirected, 299), boundAddress(redirected, 300)]).toEqual([undefined, other]);
    expect(unwrap(applyProof(redirected, proof("leave"), at(400)))).toMatchObject({ state: "left", to: null });
  });

  it("expires after the published term when nobody ever answered", () => {
    const identity = { datanet, ledger, identity: "npm:x" };
    expect(expire(undefined, identity, { firstCreditMs: 5, termMs: 10, timeMs: 14 })).toMatchObject({ ok: false });
    expect(unwrap(expire(undefined, identity, { firstCreditMs: 5, termMs: 10, timeMs: 15 }))).toMatchObject({
      state: "expired",
      to: null,
    });
    const noticed = unwrap(applyProof(undefined, proof("bind"), at(0)));
    expect(expire(noticed, identity, { firstCreditMs: 5, termMs: 10, timeMs: 99 }).ok).toBe(false);
  });

  it("happens once: whatever proofs arrive in whatever order, nothing leads from a final state, and no proof counts twice", () => {
    const steps = fc.array(
      fc.record({
        action: fc.constantFrom<ProofAction>("bind", "refuse", "redirect", "leave"),
        to: fc.constantFrom(address, other),
        wait: fc.integer({ min: 0, max: 120 }),
      }),
    );
    fc.assert(
      fc.property(steps, (steps) => {
        let [current, timeMs, wasBound]: [Binding | undefined, number, boolean] = [undefined, 0, false];
        for (const { action, to, wait } of steps) {
          timeMs += wait;
          const before: Binding | undefined = current === undefined ? undefined : settleNotice(current, timeMs);
          wasBound ||= before?.state === "bound";
          const used = proof(action, action === "bind" || action === "redirect" ? to : null);
          const next = applyProof(current, used, at(timeMs));
          if (before !== undefined && ["refused", "left", "expired"].includes(before.state))
            expect(next.ok).toBe(false);
          if (wasBound && action === "bind") expect(next.ok).toBe(false);
          if (!next.ok) continue;
          current = next.value;
          expect(applyProof(current, used, at(timeMs))).toMatchObject({ ok: false });
          expect(current.to === null).toBe(["refused", "left"].includes(current.state));
        }
      }),
    );
  });
});
