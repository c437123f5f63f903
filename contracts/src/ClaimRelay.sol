// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {IClaimRelay, Member, RelayCost, RelayTerms, SignedTerms} from "./interfaces/IClaimRelay.sol";
import {IEpochSettlement} from "./interfaces/IEpochSettlement.sol";
import {IIdentityBindings} from "./interfaces/IIdentityBindings.sol";

/// @title ClaimRelay
/// @notice Holds no money and has no owner: consents are all that it knows. It calls the settlement, OPEN and itself, and
/// nothing that a payee could have written, so no member can stop a batch or act within it.
contract ClaimRelay is EIP712, Nonces, IClaimRelay {
    uint16 public constant FEE_BPS_MAX = 200;
    bytes32 public constant CONSENT_TYPEHASH = keccak256(
        "RelayConsent(address account,address relayer,uint16 feeBpsMax,uint48 rateMax,uint32 until,uint256 nonce)"
    );
    uint256 internal constant WEI_PER_NANO = 1e9;
    /// @dev Gas × wei × micro OPEN per ETH, in nano.
    uint256 internal constant COST_PER_NANO = 1e15;
    /// @dev What cannot be measured from within, each figure below what it is (`test/ClaimRelayGas.t.sol`): the
    /// transaction itself, divided by its members; a member's calldata; taking the fee and saying so, or only saying so.
    uint256 internal constant TRANSACTION_GAS = 21_800;
    uint256 internal constant MEMBER_GAS = 1_300;
    uint256 internal constant PROOF_NODE_GAS = 480;
    uint256 internal constant CONSENT_GAS = 2_600;
    uint256 internal constant COLLECT_GAS = 5_500;
    uint256 internal constant REPORT_GAS = 3_000;

    IEpochSettlement public immutable SETTLEMENT;
    IERC20 public immutable OPEN;

    struct Batch {
        bytes32 ledger;
        uint64 epoch;
        uint48 rate;
        uint256 sharedGas;
    }

    mapping(address account => RelayTerms) private _terms;

    constructor(IEpochSettlement settlement, IERC20 open) EIP712("OpenLedger", "1") {
        SETTLEMENT = settlement;
        OPEN = open;
    }

    /* CONSENT */

    /// @inheritdoc IClaimRelay
    function consent(RelayTerms calldata terms) external {
        _consent(msg.sender, terms, _useNonce(msg.sender));
    }

    /// @inheritdoc IClaimRelay
    function consentFor(address account, SignedTerms calldata signed) public {
        uint256 nonce = _useNonce(account);
        bytes32 digest = consentDigest(account, signed.terms, nonce);
        (address signer,,) = ECDSA.tryRecoverCalldata(digest, signed.signature);
        require(signer != address(0) && signer == account, InvalidConsent());
        _consent(account, signed.terms, nonce);
        _permit(account, signed.permitDeadline, signed.permit);
    }

    /// @inheritdoc IClaimRelay
    function withdraw() external {
        _useNonce(msg.sender);
        delete _terms[msg.sender];
        emit Withdrawn(msg.sender);
    }

    /* RELAY */

    /// @inheritdoc IClaimRelay
    function relay(bytes32 ledger, uint64 epoch, uint48 rate, Member[] calldata members)
        external
        returns (uint256 relayed)
    {
        Batch memory batch = Batch(ledger, epoch, rate, TRANSACTION_GAS / Math.max(members.length, 1));
        for (uint256 i; i < members.length; ++i) {
            if (_relay(batch, members[i])) ++relayed;
        }
    }

    /* VIEWS */

    /// @inheritdoc IClaimRelay
    function termsOf(address account) external view returns (RelayTerms memory) {
        return _terms[account];
    }

    /// @inheritdoc IClaimRelay
    function consentDigest(address account, RelayTerms calldata terms, uint256 nonce) public view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    CONSENT_TYPEHASH, account, terms.relayer, terms.feeBpsMax, terms.rateMax, terms.until, nonce
                )
            )
        );
    }

    /* INTERNAL */

    function _relay(Batch memory batch, Member calldata member) private returns (bool) {
        uint256 gasBefore = gasleft() + batch.sharedGas;
        bytes32 payee = member.payee;
        address account = IIdentityBindings(address(SETTLEMENT)).entitledTo(batch.ledger, payee);
        if (!member.isFree && member.consent.length != 0) _register(account, member.consent);
        (uint128 amount, bytes4 reason) = _claim(batch, member, account);
        if (reason != 0) {
            emit Skipped(batch.ledger, payee, reason);
            return false;
        }
        RelayCost memory cost = RelayCost(gasBefore - gasleft() + _unmeasured(member), tx.gasprice, batch.rate);
        uint128 fee = member.isFree ? 0 : _collect(account, amount, cost);
        emit Relayed(batch.ledger, payee, account, msg.sender, amount, fee, cost);
        return true;
    }

    /// @return amount Nano that the account has got.
    /// @return reason Why it has got nothing, 0 where it has.
    function _claim(Batch memory batch, Member calldata member, address account)
        private
        returns (uint128 amount, bytes4 reason)
    {
        if (!member.isFree) reason = _reasonAgainst(account, batch.rate, member.cumulative);
        if (reason != 0) return (0, reason);
        try SETTLEMENT.claimFor(
            batch.ledger, batch.epoch, member.index, member.payee, member.cumulative, member.proof
        ) returns (uint128 paid) {
            return (paid, 0);
        } catch (bytes memory why) {
            // A call that ran out of gas says nothing.
            return (0, why.length < 4 ? NotClaimed.selector : bytes4(why));
        }
    }

    /// @dev Takes the fee out of what the account has just been paid: the cost where that is within its terms, else what
    /// they allow; the rest is the relayer's. Rounded down.
    function _collect(address account, uint128 amount, RelayCost memory cost) private returns (uint128 fee) {
        uint256 nano = cost.gasUsed * cost.gasPrice * cost.rate / COST_PER_NANO;
        fee = uint128(Math.min(nano, _most(amount, _terms[account].feeBpsMax)));
        // The account holds the amount and was seen to allow the fee, so this cannot fail.
        if (fee != 0) OPEN.transferFrom(account, msg.sender, fee * WEI_PER_NANO);
    }

    /// @dev The first reason not to relay an account, 0 where there is none.
    function _reasonAgainst(address account, uint48 rate, uint128 cumulative) private view returns (bytes4) {
        RelayTerms memory terms = _terms[account];
        if (terms.relayer != msg.sender || block.timestamp >= terms.until) return NoConsent.selector;
        if (rate > terms.rateMax) return RateTooHigh.selector;
        uint256 most = _most(cumulative, terms.feeBpsMax) * WEI_PER_NANO;
        if (OPEN.allowance(account, address(this)) < most) return AllowanceTooSmall.selector;
        return 0;
    }

    function _most(uint128 amount, uint16 feeBpsMax) private pure returns (uint256) {
        return uint256(amount) * feeBpsMax / 10_000;
    }

    function _unmeasured(Member calldata member) private pure returns (uint256) {
        return MEMBER_GAS + (member.isFree ? REPORT_GAS : COLLECT_GAS) + member.proof.length * PROOF_NODE_GAS
            + (member.consent.length == 0 ? 0 : CONSENT_GAS);
    }

    /// @dev A consent that cannot be read, was used or is another's leaves the account with the terms that it has.
    function _register(address account, bytes calldata encoded) private {
        if (encoded.length < 32 || uint256(bytes32(encoded[:32])) != uint160(account)) return;
        (bool isTaken,) = address(this).call(bytes.concat(this.consentFor.selector, encoded));
        isTaken;
    }

    function _consent(address account, RelayTerms calldata terms, uint256 nonce) private {
        require(terms.feeBpsMax <= FEE_BPS_MAX, FeeTooHigh(terms.feeBpsMax));
        require(terms.until > block.timestamp, AlreadyOver(terms.until));
        _terms[account] = terms;
        emit Consented(account, terms, nonce);
    }

    /// @dev A used permit has left its allowance behind; without one the account is left out of the batch.
    function _permit(address account, uint256 deadline, bytes calldata signature) private {
        if (signature.length != 65) return;
        (bytes32 r, bytes32 s, uint8 v) = (bytes32(signature[:32]), bytes32(signature[32:64]), uint8(signature[64]));
        try IERC20Permit(address(OPEN)).permit(account, address(this), type(uint256).max, deadline, v, r, s) {} catch {}
    }
}
