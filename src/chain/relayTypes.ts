import type { Hex } from "viem";

const domain = (chainId: number, verifyingContract: Hex) =>
  ({ name: "OpenLedger", version: "1", chainId, verifyingContract }) as const;

/** EIP-712: what `ClaimRelay.consentFor` checks. */
export function consentTypes(chainId: number, relay: Hex) {
  return {
    domain: domain(chainId, relay),
    types: {
      RelayConsent: [
        { name: "account", type: "address" },
        { name: "relayer", type: "address" },
        { name: "feeBpsMax", type: "uint16" },
        { name: "rateMax", type: "uint48" },
        { name: "until", type: "uint32" },
        { name: "nonce", type: "uint256" },
      ],
    },
    primaryType: "RelayConsent",
  } as const;
}

/** EIP-2612, as OPEN has it. */
export function permitTypes(chainId: number, token: Hex) {
  return {
    domain: domain(chainId, token),
    types: {
      Permit: [
        { name: "owner", type: "address" },
        { name: "spender", type: "address" },
        { name: "value", type: "uint256" },
        { name: "nonce", type: "uint256" },
        { name: "deadline", type: "uint256" },
      ],
    },
    primaryType: "Permit",
  } as const;
}
