import { encodeAbiParameters, type Hex, parseAbiParameters, recoverTypedDataAddress } from "viem";
import type { LocalAccount } from "viem/accounts";
import { fromHex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { GasPrices } from "../ledger/relay.ts";
import type { RelayChain, RelayConsent, RelayMember, RelayTerms, SignedRelayTerms } from "../ledger/relayPorts.ts";
import { relayAbi, tokenAbi } from "./abi.ts";
import { consentTypes, permitTypes } from "./relayTypes.ts";
import type { Sender } from "./sender.ts";

export interface EvmRelayOptions {
  readonly sender: Sender;
  readonly chainId: number;
  /** 20 bytes each. */
  readonly contract: Uint8Array;
  readonly token: Uint8Array;
  /** Sends the batches, pays their gas and gets the fees. */
  readonly account: LocalAccount;
  /** Millionths of an OPEN for one ETH. */
  readonly microOpenPerEth: number;
}

const MAX_UINT256 = 2n ** 256n - 1n;
/** More than any member takes, a consent and a payee with delegated votes included; what is not used is not paid. */
const MEMBER_GAS_MAX = 350_000n;
/** For decoding what the contract is given as bytes. */
const signedTerms = parseAbiParameters(
  "address account, ((address relayer, uint16 feeBpsMax, uint48 rateMax, uint32 until) terms, bytes signature, uint256 permitDeadline, bytes permit) signed",
);

/** The ClaimRelay of `contracts/src`, as one relayer uses it. */
export class EvmRelay implements RelayChain {
  readonly contract: Hex;
  readonly relayer: Hex;
  readonly #options: EvmRelayOptions;

  constructor(options: EvmRelayOptions) {
    this.contract = toHex(options.contract);
    this.relayer = toHex(fromHex(options.account.address));
    this.#options = options;
  }

  async prices(): Promise<Result<GasPrices>> {
    const { sender, microOpenPerEth } = this.#options;
    const price = await sender.read((client) => client.getGasPrice());
    return price.ok ? ok({ gasPriceWei: price.value, microOpenPerEth }) : price;
  }

  async terms(account: string): Promise<Result<RelayTerms | undefined>> {
    const args = [toHex(fromHex(account))] as const;
    const found = await this.#options.sender.read((client) =>
      client.readContract({ address: this.contract, abi: relayAbi, functionName: "termsOf", args }),
    );
    if (!found.ok) return found;
    const { relayer, ...rest } = found.value;
    return ok(rest.until === 0 ? undefined : { relayer: toHex(fromHex(relayer)), ...rest });
  }

  async toSign(account: string, terms: RelayTerms): Promise<Result<{ consent: unknown; permit: unknown }>> {
    const nonces = await this.#nonces(account);
    if (!nonces.ok) return nonces;
    const { consent, permit } = nonces.value;
    const deadline = terms.until;
    return ok({
      consent: plain({ ...this.#domain("consent"), message: { account, ...terms, nonce: consent } }),
      permit: plain({
        ...this.#domain("permit"),
        message: { owner: account, spender: this.contract, value: MAX_UINT256, nonce: permit, deadline },
      }),
    });
  }

  async check(account: string, signed: SignedRelayTerms): Promise<Result<void>> {
    const nonces = await this.#nonces(account);
    if (!nonces.ok) return nonces;
    const args = [toHex(fromHex(account)), signedStruct(signed)] as const;
    const tried = await this.#options.sender.read((client) =>
      client.simulateContract({ address: this.contract, abi: relayAbi, functionName: "consentFor", args }),
    );
    if (!tried.ok)
      return tried.error.code === "chain_unavailable"
        ? tried
        : refuse("forbidden", `the contract does not take this consent of ${account}: ${tried.error.message}`, {
            hint: "sign what /api/claims/{payee}/relay gives to sign, with the key of that account",
            field: "signature",
          });
    if (await this.#allows(account)) return ok(undefined);
    const { permitDeadline: deadline, permit: signature } = signed;
    const message = { owner: toHex(fromHex(account)), spender: this.contract, value: MAX_UINT256 } as const;
    const signer = await recovered({
      ...{ ...this.#domain("permit"), signature: asHex(signature) },
      message: { ...message, nonce: nonces.value.permit, deadline: BigInt(deadline) },
    });
    if (signer === account.toLowerCase()) return ok(undefined);
    return refuse("forbidden", `the permit is not signed by ${account}`, { field: "permit" });
  }

  async isWithdrawal(account: string, signature: string): Promise<Result<boolean>> {
    const nonces = await this.#nonces(account);
    if (!nonces.ok) return nonces;
    const nothing = { relayer: this.relayer, feeBpsMax: 0, rateMax: 0, until: 0 };
    const signer = await recovered({
      ...{ ...this.#domain("consent"), signature: asHex(signature) },
      message: { account: toHex(fromHex(account)), ...nothing, nonce: nonces.value.consent },
    });
    return ok(signer === account.toLowerCase());
  }

  async wouldClaim(ledger: Uint8Array, epoch: number, member: RelayMember): Promise<Result<boolean>> {
    const { sender, account } = this.#options;
    const args = this.#batch(ledger, epoch, [member]);
    const tried = await sender.read((client) =>
      client.simulateContract({ address: this.contract, abi: relayAbi, functionName: "relay", args, account }),
    );
    return tried.ok ? ok(tried.value.result === 1n) : tried;
  }

  async send(
    ledger: Uint8Array,
    epoch: number,
    members: readonly RelayMember[],
  ): Promise<Result<{ transaction: string }>> {
    const { sender, account } = this.#options;
    const counted = await sender.read(async (client) => {
      const of = (blockTag: "pending" | "latest") => client.getTransactionCount({ address: account.address, blockTag });
      return [await of("latest"), await of("pending")] as const;
    });
    if (!counted.ok) return counted;
    if (counted.value[0] !== counted.value[1])
      return refuse("conflict", "a transaction of this node is still under way", {
        hint: "try again once it is mined",
      });
    const args = this.#batch(ledger, epoch, members);
    const gasMin = MEMBER_GAS_MAX * BigInt(members.length + 1);
    const sent = await sender.send(account, { to: this.contract, abi: relayAbi, name: "relay", args, gasMin });
    return sent.ok ? ok({ transaction: sent.value.transactionHash }) : sent;
  }

  #batch(ledger: Uint8Array, epoch: number, members: readonly RelayMember[]) {
    const { microOpenPerEth } = this.#options;
    const structs = members.map(({ proof, isFree, consent }) => ({
      ...{ payee: toHex(proof.payee), index: BigInt(proof.index), cumulative: proof.cumulative },
      ...{ proof: proof.proof.map(toHex), isFree, consent: consent === undefined ? ("0x" as const) : encoded(consent) },
    }));
    return [toHex(ledger), BigInt(epoch), microOpenPerEth, structs] as const;
  }

  #domain(of: "consent"): ReturnType<typeof consentTypes>;
  #domain(of: "permit"): ReturnType<typeof permitTypes>;
  #domain(of: "consent" | "permit") {
    const { chainId, token } = this.#options;
    return of === "consent" ? consentTypes(chainId, this.contract) : permitTypes(chainId, toHex(token));
  }

  async #nonces(account: string): Promise<Result<{ readonly consent: bigint; readonly permit: bigint }>> {
    const { sender, token } = this.#options;
    const args = [toHex(fromHex(account))] as const;
    const read = (address: Hex) =>
      sender.read((client) => client.readContract({ address, abi: relayAbi, functionName: "nonces", args }));
    const [consent, permit] = [await read(this.contract), await read(toHex(token))];
    if (!consent.ok) return consent;
    return permit.ok ? ok({ consent: consent.value, permit: permit.value }) : permit;
  }

  async #allows(account: string): Promise<boolean> {
    const { sender, token } = this.#options;
    const args = [toHex(fromHex(account)), this.contract] as const;
    const allowed = await sender.read((client) =>
      client.readContract({ address: toHex(token), abi: tokenAbi, functionName: "allowance", args }),
    );
    return allowed.ok && allowed.value > 2n ** 200n;
  }
}

function encoded(consent: RelayConsent): Hex {
  return encodeAbiParameters(signedTerms, [toHex(fromHex(consent.account)), signedStruct(consent)]);
}

function signedStruct({ terms, signature, permitDeadline, permit }: SignedRelayTerms) {
  return {
    ...{ terms: { ...terms, relayer: toHex(fromHex(terms.relayer)) }, signature: asHex(signature) },
    ...{ permitDeadline: BigInt(permitDeadline), permit: asHex(permit) },
  };
}

/** Who signed, in lower case; undefined where the signature is none. */
async function recovered(data: Parameters<typeof recoverTypedDataAddress>[0]): Promise<string | undefined> {
  try {
    return (await recoverTypedDataAddress(data)).toLowerCase();
  } catch {
    return undefined;
  }
}

function asHex(text: string): Hex {
  return toHex(fromHex(text));
}

/** Typed data as wallets take it, with whole numbers as decimal texts. */
function plain(data: unknown): unknown {
  return JSON.parse(
    JSON.stringify(data, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value)),
  );
}
