// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SettlementTree} from "../libraries/SettlementTree.sol";

/// @notice A payer's account at one ledger, in wei.
struct PayerAccount {
    uint128 deposited;
    uint128 withdrawn;
}

/// @notice What a payer asked back, in wei, and from when it may be taken.
struct Withdrawal {
    uint128 amount;
    uint64 availableAt;
}

/// @notice A ledger's money, in wei. Never negative: deposited − withdrawn − paid.
struct Purse {
    uint128 deposited;
    uint128 withdrawn;
    uint128 paid;
    uint64 depositCount;
}

/// @title IPayerEscrow
/// @notice Holds payers' OPEN, one purse a ledger. Money leaves a purse in two ways only: a claim that the settlement
/// contract has checked, to the entitled address; and a thawed withdrawal of what a payer did not spend, to that payer.
/// @dev Amounts are wei and multiples of 1e9, since ledgers count whole nano. Neither way out can be paused.
interface IPayerEscrow {
    /// @notice `index` counts the ledger's deposits from 0, without gaps.
    event Deposited(
        bytes32 indexed ledger, address indexed payer, uint64 index, address from, uint128 amount, uint128 deposited
    );
    event WithdrawalRequested(bytes32 indexed ledger, address indexed payer, uint128 amount, uint64 availableAt);
    event WithdrawalCancelled(bytes32 indexed ledger, address indexed payer);
    event Withdrawn(bytes32 indexed ledger, address indexed payer, uint128 amount, uint128 withdrawn);
    /// @notice `cumulative` is nano, under the debit root of the final epoch `epoch`.
    event DebitProven(bytes32 indexed ledger, address indexed payer, uint64 epoch, uint128 cumulative);
    /// @notice `signer` may sign vouchers for `payer` on this ledger until `until` (seconds since 1970).
    event SignerSet(bytes32 indexed ledger, address indexed payer, address indexed signer, uint64 until);

    error NotSettlement();
    error UnknownLedger(bytes32 ledger);
    error DepositsPaused();
    error EmptyAddress();
    /// @notice Not a positive multiple of 1e9 wei below 2^128.
    error InvalidAmount(uint256 amount);
    error ExceedsBalance(uint256 amount, uint256 balance);
    error NoWithdrawal();
    error StillThawing(uint64 availableAt);
    error NothingToWithdraw();
    /// @notice More would be paid than the ledger's finalised credits, or than its purse holds.
    error ExceedsCredits();

    /// @notice Deposits the caller's OPEN for `payer` at `ledger`.
    function deposit(bytes32 ledger, address payer, uint256 amount) external returns (uint64 index);

    /// @notice The same with an EIP-2612 permit of the caller. A permit that somebody else has sent in first is no obstacle.
    function depositWithPermit(
        bytes32 ledger,
        address payer,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (uint64 index);

    /// @notice Lets `signer` sign vouchers for the caller at `ledger` until `until`; a time that is past ends it now.
    function setSigner(bytes32 ledger, address signer, uint64 until) external;

    /// @notice Asks `amount` of the caller's deposit back. It thaws for the ledger's `thawSeconds`, longer than an epoch and
    /// its window, so whatever was spent before the request is final before it is paid. Asking again starts over.
    /// @dev A ledger must count a requested amount as not spendable from this event on, however long it stays requested.
    function requestWithdrawal(bytes32 ledger, uint256 amount) external;

    function cancelWithdrawal(bytes32 ledger) external;

    /// @notice Pays a thawed withdrawal to its payer, at most the deposit minus the debit shown in the latest final epoch.
    /// Anyone may relay it.
    /// @param leaves The payer's debit leaf, or the neighbours that show that there is none.
    function withdraw(bytes32 ledger, address payer, SettlementTree.DebitLeaf[] calldata leaves)
        external
        returns (uint128 amount);

    /// @notice The way out when a ledger withholds its debit tree: `EXIT_SECONDS` after the thaw the payer is paid without
    /// a proof, at most the deposit minus the debit that anyone has proven last.
    function withdrawUnproven(bytes32 ledger) external returns (uint128 amount);

    /// @notice Puts a payer's debit under the latest final epoch on record, so that an unproven withdrawal respects it.
    function proveDebit(bytes32 ledger, address payer, SettlementTree.DebitLeaf[] calldata leaves)
        external
        returns (uint128 cumulative);

    /// @notice Pays `nano` of a ledger to `to`, `credits` being the ledger's finalised lifetime nano. Settlement only.
    function pay(bytes32 ledger, address to, uint128 nano, uint128 credits) external;

    /// @notice Deposits minus withdrawals of a ledger, in wei: what its debits must stay within.
    function netDeposits(bytes32 ledger) external view returns (uint256);

    function purseOf(bytes32 ledger) external view returns (Purse memory);

    function accountOf(bytes32 ledger, address payer) external view returns (PayerAccount memory);

    function withdrawalOf(bytes32 ledger, address payer) external view returns (Withdrawal memory);

    /// @notice Whether `signer` may sign vouchers for `payer` now; a payer always may.
    function isSigner(bytes32 ledger, address payer, address signer) external view returns (bool);
}
