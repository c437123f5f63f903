import { encodeAbiParameters, keccak256 as viemKeccak256 } from "viem";
import { expect, test } from "vitest";
import { toHex } from "./bytes.ts";
import { checkPolicy, defaultPolicyBps, policyHash } from "./policy.ts";

const policy = {
  ...defaultPolicyBps,
  treasuryPayee: new Uint8Array(32).fill(1),
  reservePayee: new Uint8Array(32).fill(2),
  datanetReservePayee: new Uint8Array(32).fill(3),
};

test("a policy's hash is keccak256 of its ABI encoding", () => {
  const types = [
    ...Array.from({ length: 6 }, () => ({ type: "uint16" })),
    ...Array.from({ length: 3 }, () => ({ type: "bytes32" })),
  ];
  const values = [
    2_500,
    1_000,
    5_000,
    1_000,
    500,
    2_000,
    toHex(policy.treasuryPayee),
    toHex(policy.reservePayee),
    toHex(policy.datanetReservePayee),
  ];
  expect(toHex(policyHash(policy))).toBe(viemKeccak256(encodeAbiParameters(types, values)));
});

test.each([
  { change: {}, refused: undefined },
  { change: { treasuryBps: 199 }, refused: "treasuryBps" },
  { change: { treasuryBps: 1_001 }, refused: "treasuryBps" },
  { change: { contributorsBps: 3_999 }, refused: "contributorsBps" },
  { change: { modelBps: 4_001 }, refused: "modelBps" },
  { change: { contextBps: -1 }, refused: "contextBps" },
  { change: { stakersBps: 0.5 }, refused: "stakersBps" },
  { change: { priorCapBps: 2_001 }, refused: "priorCapBps" },
])("a policy with $change is judged on $refused", ({ change, refused }) => {
  const checked = checkPolicy({ ...policy, ...change });
  expect(checked.ok ? undefined : checked.error.field).toBe(refused);
});

test("roles that do not sum to the whole are refused", () => {
  expect(checkPolicy({ ...policy, modelBps: 2_499 })).toMatchObject({ ok: false, error: { code: "invalid_request" } });
});
