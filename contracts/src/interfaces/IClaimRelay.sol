// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEpochSettlement} from "./IEpochSettlement.sol";

/// @notice What an account allows whoever relays its claims. It fits one slot.
/// @param relayer The only one that may relay and be repaid.
/// @param feeBpsMax Most of a payout that its fee may be, in hundredths of a percent; 200 at most.
/// @param rateMax Most micro OPEN that one ETH of gas may be reckoned at.
/// @param until Seconds since 1970 from which this no longer counts.
struct RelayTerms {
    address relayer;
    uint16 feeBpsMax;
    uint48 rateMax;
    uint32 until;
}

/// @notice Terms as an account signed them, and its EIP-2612 permit of OPEN to this contract; both 65 bytes.
/// @param signature Over `RelayConsent(account, relayer, feeBpsMax, rateMax, until, nonce)` by EIP-712.
/// @param permitDeadline The permit is for the largest amount there is.
struct SignedTerms {
    RelayTerms terms;
    bytes signature;
    uint256 permitDeadline;
    bytes permit;
}

/// @notice One payee's leaf of an epoch's payout tree, with its proof.
/// @param isFree The relayer takes no fee, so no consent is needed, as for any claim that somebody else sends.
/// @param consent The account and its `SignedTerms`, encoded, where this is the first relay under them; else empty.
struct Member {
    bytes32 payee;
    uint64 index;
    uint128 cumulative;
    bytes32[] proof;
    bool isFree;
    bytes consent;
}

/// @notice What relaying one claim cost, and what it was reckoned at.
/// @param gasPrice Wei, as the transaction paid it.
/// @param rate Micro OPEN for one ETH, as the relayer stated it.
struct RelayCost {
    uint256 gasUsed;
    uint256 gasPrice;
    uint48 rate;
}

/// @title IClaimRelay
/// @notice Claims for many payees in one transaction. Each payout goes to whoever is entitled to it, in full; its account
/// then repays the gas at cost, from what it has just got, within the terms that it has consented to and never above 2 %.
/// Nobody who has not consented pays anything here, and whoever claims by himself pays nothing.
interface IClaimRelay {
    event Consented(address indexed account, RelayTerms terms, uint256 nonce);
    event Withdrawn(address indexed account);
    /// @notice `amount` went to `account`, which paid `fee` of it, nano.
    event Relayed(
        bytes32 indexed ledger,
        bytes32 indexed payee,
        address indexed account,
        address relayer,
        uint128 amount,
        uint128 fee,
        RelayCost cost
    );
    /// @notice A member was left out; `reason` is the selector of the error that says why.
    event Skipped(bytes32 indexed ledger, bytes32 indexed payee, bytes4 reason);

    error FeeTooHigh(uint16 feeBpsMax);
    error AlreadyOver(uint32 until);
    error InvalidConsent();
    /// @notice The reasons for leaving a member out that are not the settlement's own.
    error NoConsent(address account);
    error RateTooHigh(uint48 rateMax);
    error AllowanceTooSmall(uint256 allowance);
    error NotClaimed();

    /// @notice Most of a payout that a fee may ever be, in hundredths of a percent.
    function FEE_BPS_MAX() external view returns (uint16);

    /// @notice The caller consents to be relayed; it also has to approve OPEN to this contract. Earlier signatures are void.
    function consent(RelayTerms calldata terms) external;

    /// @notice Consents for `account` by its signature, and uses its permit where that is still to be used. Anyone may.
    function consentFor(address account, SignedTerms calldata signed) external;

    /// @notice The caller is not relayed any more, and what it signed before is void.
    function withdraw() external;

    /// @notice Claims for every member that can be claimed for, and leaves the others out; the fees go to the caller.
    /// @param rate Micro OPEN for one ETH: what the caller reckons gas at.
    /// @return relayed How many were claimed for.
    function relay(bytes32 ledger, uint64 epoch, uint48 rate, Member[] calldata members)
        external
        returns (uint256 relayed);

    function termsOf(address account) external view returns (RelayTerms memory);

    /// @notice The EIP-712 digest that a consent's signature is over.
    function consentDigest(address account, RelayTerms calldata terms, uint256 nonce) external view returns (bytes32);

    function SETTLEMENT() external view returns (IEpochSettlement);
}
