import { concat, equalBytes, fromHex, toHex, u64 } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { CREDIT_CHAIN_ID, creditLedgerId } from "../core/move.ts";
import { ok, type Result } from "../core/result.ts";
import type { AssetRegistration, BindingNotice, Chain } from "../ledger/chain.ts";
import { assetIdOf } from "../ledger/creditChain.ts";
import { registryAbi } from "./abi.ts";
import { EvmChain, type EvmChainOptions, registrationStruct } from "./evmChain.ts";

/**
 * The chain of a ledger that began on credit: its ledger, assets and identities keep the ids that its journal has given them. The node acts under the key that signs
 * the journal, which is what those ids follow from: so nobody else can take one.
 */
export function openAdoptedChain(options: EvmChainOptions): Chain & { bonded(): Promise<Result<boolean>> } {
  return new AdoptedChain(options);
}

class AdoptedChain extends EvmChain {
  override readonly identities = { chainId: CREDIT_CHAIN_ID, registry: new Uint8Array(20) };

  /** What was begun and not finished is finished: a ledger without its bond cannot propose. */
  override async openLedger(): Promise<Result<Uint8Array>> {
    const { signer, bondNano, salt, ...periods } = this.setup;
    const id = creditLedgerId(this.node);
    const open = await this.sender.read((client) =>
      client.readContract({ ...this.at, functionName: "isOpen", args: [toHex(id)] }),
    );
    if (!open.ok) return open;
    if (!open.value) {
      const roles = { signer: toHex(signer), proposer: this.account.address, attestor: this.account.address };
      const adopted = await this.settle("adoptLedger", [roles, periods]);
      if (!adopted.ok) return adopted;
    }
    const bonded = await this.bonded();
    if (!bonded.ok) return bonded;
    return bonded.value ? ok(id) : this.postBond(id, bondNano);
  }

  /** Whether the node has put up what it proposes epochs behind. */
  async bonded(): Promise<Result<boolean>> {
    const args = [toHex(creditLedgerId(this.node)), this.account.address] as const;
    const bond = await this.sender.read((client) => client.readContract({ ...this.at, functionName: "bondOf", args }));
    return bond.ok ? ok(bond.value.amount > 0n) : bond;
  }

  override async registerAsset(input: AssetRegistration): Promise<Result<Uint8Array>> {
    const id = assetIdOf(this.node, input);
    const address = toHex(this.contracts.registry);
    const known = await this.sender.read((client) =>
      client.readContract({ address, abi: registryAbi, functionName: "isRegistered", args: [toHex(id)] }),
    );
    if (!known.ok || known.value) return known.ok ? ok(id) : known;
    const args = [registrationStruct(input), toHex(input.owner ?? this.node)];
    const sent = await this.sender.send(this.account, { to: address, abi: registryAbi, name: "adopt", args });
    return sent.ok ? ok(id) : sent;
  }

  /** A notice that stands is not given again: its time would begin anew. */
  override async noticeBinding(ledger: Uint8Array, notice: BindingNotice): Promise<Result<string>> {
    const { chainId, registry, datanet, tag, account, proofHash } = notice;
    const payee = keccak256(concat(u64(BigInt(chainId)), registry, datanet, tag));
    const args = [toHex(ledger), toHex(payee)] as const;
    const stands = await this.sender.read((client) =>
      client.readContract({ ...this.at, functionName: "bindingOf", args }),
    );
    if (!stands.ok) return stands;
    const isSame =
      equalBytes(fromHex(stands.value.account), account) && equalBytes(fromHex(stands.value.proofHash), proofHash);
    return isSame ? ok("already noticed") : super.noticeBinding(ledger, notice);
  }
}
