// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SettlementTree} from "../libraries/SettlementTree.sol";
import {ILedgerBook} from "./ILedgerBook.sol";
import {IPayerEscrow} from "./IPayerEscrow.sol";

/// @notice All that an epoch commits to.
/// @param epoch Counts the ledger's proposals from 1; a voided number is not used again.
/// @param journalSize Entries of the journal at the checkpoint that closes the epoch.
/// @param journalRoot RFC 6962 SHA-256 root over them.
/// @param postingsRoot Every leg of the epoch; see `SettlementTree.postingLeaf`.
/// @param payoutRoot Every payee's lifetime nano.
/// @param debitRoot Every payer's lifetime nano.
/// @param credits The ledger's lifetime nano credited.
/// @param debits The ledger's lifetime nano debited.
/// @param registryBlock The block at which owners, terms, policy and bindings were read.
/// @param policyHash The fee policy in force at that block.
struct EpochCommitment {
    bytes32 ledger;
    uint64 epoch;
    uint64 journalSize;
    bytes32 journalRoot;
    bytes32 postingsRoot;
    uint64 postingsCount;
    bytes32 payoutRoot;
    uint64 payoutCount;
    bytes32 debitRoot;
    uint64 debitCount;
    uint128 credits;
    uint128 debits;
    uint64 registryBlock;
    bytes32 policyHash;
}

/// @notice What is stored of an epoch: what claims, withdrawals and the next epoch are checked against, and the hash of
/// all that it committed to. The commitment itself is in the log `EpochProposed` of block `proposedIn`.
/// @param status 0 none, 1 proposed, 2 final, 3 voided.
/// @param previous The epoch that it builds on, 0 for none: the latest one that was not voided when it was proposed.
/// @param proposer Whose bond stands behind it.
/// @param commitmentHash keccak256(abi.encode(signer, commitment)), where the signer is who signed the checkpoint: the
/// hash of the log's data.
struct Epoch {
    bytes32 payoutRoot;
    uint48 payoutCount;
    uint48 debitCount;
    uint8 status;
    uint40 proposedAt;
    uint48 previous;
    uint48 proposedIn;
    bytes32 debitRoot;
    uint128 credits;
    uint128 debits;
    address proposer;
    uint48 journalSize;
    uint48 registryBlock;
    bytes32 commitmentHash;
}

/// @notice Where a ledger stands.
/// @param proposed The latest number used.
/// @param live The latest epoch that is not voided: the next one builds on it.
/// @param latestFinal The latest final epoch.
/// @param pending How many epochs are proposed and neither final nor voided.
struct Progress {
    uint64 proposed;
    uint64 live;
    uint64 latestFinal;
    uint64 pending;
}

/// @title IEpochSettlement
/// @notice A bonded proposer commits an epoch; after a window in which it can be challenged it is final, provided the
/// ledger is solvent; payees then claim what it says they have earned in their lifetime, minus what they have claimed.
interface IEpochSettlement is ILedgerBook {
    event EpochProposed(
        bytes32 indexed ledger,
        uint64 indexed epoch,
        address indexed proposer,
        address signer,
        EpochCommitment commitment
    );
    event EpochFinal(bytes32 indexed ledger, uint64 indexed epoch, uint128 credits, uint128 debits);
    /// @notice The pending epochs from `first` to `last` are void.
    event EpochsVoided(bytes32 indexed ledger, uint64 first, uint64 last, address indexed challenger);
    /// @notice `amount` is paid now, `cumulative` is all that was ever claimed; nano.
    event Claimed(
        bytes32 indexed ledger,
        bytes32 indexed payee,
        address indexed account,
        uint64 epoch,
        uint128 amount,
        uint128 cumulative
    );

    error NotProposer();
    error WrongEpoch(uint64 expected);
    error TooManyPending();
    /// @notice Credits, debits and registry block never fall from an epoch to the next, and the journal grows: an epoch
    /// is an entry of it.
    error NotMonotone();
    error CreditsExceedDebits();
    /// @notice A tree has a root exactly when it has leaves, and fewer than 2^48 of them.
    error InvalidTree();
    error RegistryBlockAhead();
    error WrongPolicy(bytes32 expected);
    error InvalidCheckpoint();
    error NotProposed();
    error WindowStillRuns(uint64 until);
    /// @notice Debits exceed deposits minus withdrawals, in wei; a deposit cures it.
    error Insolvent(uint256 debits, uint256 netDeposits);
    error NotFinal();
    error InvalidProof();
    error NotEntitled();
    error NotBound(bytes32 payee);
    error NothingDue();

    /// @notice Proposes the next epoch. The ledger's proposer only, with its bond in place.
    /// @param signature The ledger's signer over the EIP-712 `Checkpoint(ledger, size, root)`: 65 bytes.
    function propose(EpochCommitment calldata commitment, bytes calldata signature) external;

    /// @notice Makes the oldest pending epoch final once its window has run and the ledger is solvent. Anyone may.
    function finalise(bytes32 ledger, uint64 epoch) external;

    /// @notice Pays the caller what a final epoch's payout tree owes `payee` beyond what was claimed.
    /// @param index Position of the payout leaf.
    /// @param cumulative The leaf's lifetime nano.
    /// @param proof Siblings from the leaf up, exactly as many as the tree is deep.
    /// @return amount Nano paid.
    function claim(
        bytes32 ledger,
        uint64 epoch,
        uint64 index,
        bytes32 payee,
        uint128 cumulative,
        bytes32[] calldata proof
    ) external returns (uint128 amount);

    /// @notice The same for anyone to relay: whoever sends it, the money goes to the entitled address.
    function claimFor(
        bytes32 ledger,
        uint64 epoch,
        uint64 index,
        bytes32 payee,
        uint128 cumulative,
        bytes32[] calldata proof
    ) external returns (uint128 amount);

    /// @notice A payer's lifetime debit, in nano, under the latest final epoch; see `SettlementTree.debitOf`.
    function finalDebitOf(bytes32 ledger, address payer, SettlementTree.DebitLeaf[] calldata leaves)
        external
        view
        returns (uint64 epoch, uint128 cumulative);

    /// @notice The ledger's lifetime nano debited, under the latest final epoch.
    function finalDebits(bytes32 ledger) external view returns (uint128);

    function epochOf(bytes32 ledger, uint64 epoch) external view returns (Epoch memory);

    function progressOf(bytes32 ledger) external view returns (Progress memory);

    /// @notice Nano that `payee` has claimed at `ledger` in its lifetime.
    function claimed(bytes32 ledger, bytes32 payee) external view returns (uint128);

    /// @notice The EIP-712 digest that a checkpoint's signature is over.
    function checkpointDigest(bytes32 ledger, uint64 size, bytes32 root) external view returns (bytes32);

    function ESCROW() external view returns (IPayerEscrow);
}
