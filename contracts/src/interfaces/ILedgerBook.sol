// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Who acts for a ledger.
/// @param signer Signs checkpoints, batches and promises (secp256k1, EIP-712).
/// @param proposer Proposes epochs, behind a bond of its own.
/// @param attestor Gives notice of what became of external identities.
struct Roles {
    address signer;
    address proposer;
    address attestor;
}

/// @notice A ledger's periods, in seconds, fixed for ever when it is opened.
/// @param epochSeconds How often it means to settle.
/// @param windowSeconds How long a proposed epoch can be challenged.
/// @param thawSeconds How long a payer waits for a withdrawal: at least two epochs and a window, so that what was spent
/// before the request is final before it is paid, even when a proposal is an epoch late.
/// @param noticeSeconds How long a binding is public before it is final.
/// @param expirySeconds How long the notice stands that an identity's money will return to payers.
struct Periods {
    uint32 epochSeconds;
    uint32 windowSeconds;
    uint32 thawSeconds;
    uint32 noticeSeconds;
    uint32 expirySeconds;
}

/// @notice A ledger: one node's books.
struct Ledger {
    address owner;
    address pendingOwner;
    uint64 openedAt;
    Roles roles;
    Periods periods;
}

/// @notice When a key was a ledger's signer, in seconds since 1970; `until` is 0 while it is.
struct SignerTerm {
    uint64 from;
    uint64 until;
}

/// @notice What this deployment asks of every ledger.
/// @param bond Wei of OPEN that a proposer puts up.
struct Floors {
    uint32 windowSeconds;
    uint32 noticeSeconds;
    uint32 expirySeconds;
    uint128 bond;
}

/// @title ILedgerBook
/// @notice Many ledgers side by side. Each has its own owner, roles and periods; none can touch another's money.
interface ILedgerBook {
    event LedgerOpened(bytes32 indexed ledger, address indexed owner, bytes32 salt, Roles roles, Periods periods);
    event RolesSet(bytes32 indexed ledger, Roles roles);
    event LedgerTransferStarted(bytes32 indexed ledger, address indexed owner, address indexed pendingOwner);
    event LedgerTransferred(bytes32 indexed ledger, address indexed from, address indexed to);
    /// @notice New ledgers, deposits and proposals are refused until then. Finalising, claims, withdrawals and bindings go on.
    event Paused(uint64 until);

    error UnknownLedger(bytes32 ledger);
    error LedgerExists(bytes32 ledger);
    error NotLedgerOwner();
    error EmptyRole();
    /// @notice A signer that was replaced does not come back: each key has one term.
    error SignerRetired(address signer);
    error InvalidPeriods();
    error IsPaused(uint64 until);
    error PausedTooRecently(uint64 notBefore);

    /// @notice Opens the caller's ledger. Its id contains the caller, so nobody can open it first.
    function openLedger(bytes32 salt, Roles calldata roles, Periods calldata periods) external returns (bytes32 ledger);

    /// @notice Opens the ledger that the caller has kept on credit until now, under the id that its journal has. The id
    /// contains the caller, the key that signs that journal, so nobody can open it first. Its first epoch here may have any number.
    function adoptLedger(Roles calldata roles, Periods calldata periods) external returns (bytes32 ledger);

    /// @notice Replaces all roles at once. Ledger owner only. Epochs already proposed stay their proposer's.
    function setRoles(bytes32 ledger, Roles calldata roles) external;

    function transferLedger(bytes32 ledger, address pendingOwner) external;

    function acceptLedger(bytes32 ledger) external;

    /// @notice Pauses for `PAUSE_SECONDS`, and not again before as long has passed since. Contract owner only.
    function pause() external;

    /// @notice Ends a pause early. Contract owner only.
    function unpause() external;

    /// @notice keccak256(abi.encode(chainId, this contract, owner, salt)).
    function ledgerId(address owner, bytes32 salt) external view returns (bytes32);

    /// @notice keccak256("openledger credit ledger" ‖ node).
    function creditLedgerId(address node) external pure returns (bytes32);

    function ledgerOf(bytes32 ledger) external view returns (Ledger memory);

    function signerTerm(bytes32 ledger, address signer) external view returns (SignerTerm memory);

    function isOpen(bytes32 ledger) external view returns (bool);

    function paused() external view returns (bool);

    /// @notice The ledger's `thawSeconds`; reverts for an unknown ledger.
    function thawSeconds(bytes32 ledger) external view returns (uint256);

    function floors() external view returns (Floors memory);
}
