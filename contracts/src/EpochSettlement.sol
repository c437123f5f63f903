// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Epoch, EpochCommitment, IEpochSettlement, Progress} from "./interfaces/IEpochSettlement.sol";
import {IFeePolicy} from "./interfaces/IFeePolicy.sol";
import {Floors} from "./interfaces/ILedgerBook.sol";
import {IPayerEscrow} from "./interfaces/IPayerEscrow.sol";
import {SettlementTree} from "./libraries/SettlementTree.sol";
import {PayerEscrow} from "./PayerEscrow.sol";
import {IdentityBindings} from "./settlement/IdentityBindings.sol";
import {LedgerBook} from "./settlement/LedgerBook.sol";
import {ProposerBonds} from "./settlement/ProposerBonds.sol";

/// @title EpochSettlement
/// @notice Turns a ledger's journal into claims. The states of an epoch are none → proposed → final or voided; a final one
/// is never voided. Voiding is internal: it is reached only through a proof that an epoch contradicts its own commitments.
contract EpochSettlement is ProposerBonds, IdentityBindings, EIP712, IEpochSettlement {
    using SettlementTree for bytes32;

    uint8 internal constant PROPOSED = 1;
    uint8 internal constant FINAL = 2;
    uint8 internal constant VOIDED = 3;
    /// @notice Bounds the gas of voiding; 24 are pending when an epoch is an hour and the window a day.
    uint256 public constant PENDING_MAX = 1_024;
    uint256 internal constant WEI_PER_NANO = 1e9;
    /// @dev What is counted is stored in 48 bits.
    uint256 private constant COUNT_MAX = type(uint48).max;
    bytes32 public constant CHECKPOINT_TYPEHASH = keccak256("Checkpoint(bytes32 ledger,uint64 size,bytes32 root)");

    IFeePolicy public immutable POLICY;
    IPayerEscrow public immutable ESCROW;

    /// @dev Lifetime nano under the latest final epoch: the cap of claims and the floor of withdrawals, in one slot.
    struct Totals {
        uint128 credits;
        uint128 debits;
    }

    mapping(bytes32 ledger => Progress) private _progress;
    mapping(bytes32 ledger => Totals) private _totals;
    mapping(bytes32 ledger => mapping(uint64 epoch => Epoch)) private _epochs;
    /// @inheritdoc IEpochSettlement
    mapping(bytes32 ledger => mapping(bytes32 payee => uint128)) public claimed;

    constructor(IERC20 open, IERC721 registry, IFeePolicy policy, Floors memory required, address owner)
        EIP712("OpenLedger", "1")
        Ownable(owner)
        LedgerBook(required)
        ProposerBonds(open)
        IdentityBindings(registry)
    {
        POLICY = policy;
        ESCROW = new PayerEscrow(open);
    }

    /* EPOCHS */

    /// @inheritdoc IEpochSettlement
    function propose(EpochCommitment calldata commitment, bytes calldata signature) external whenNotPaused {
        bytes32 ledger = commitment.ledger;
        Progress storage progress = _progress[ledger];
        require(msg.sender == _ledger(ledger).roles.proposer, NotProposer());
        // A ledger that began on credit has closed epochs before its first one here.
        bool isFirst = progress.proposed == 0 && commitment.epoch != 0 && ledger == creditLedgerId(msg.sender);
        require(isFirst || commitment.epoch == progress.proposed + 1, WrongEpoch(progress.proposed + 1));
        require(progress.pending < PENDING_MAX, TooManyPending());
        _checkCommitment(commitment, _epochs[ledger][progress.live]);
        address signer = _checkpointSigner(commitment, signature);
        _stake(ledger, commitment.epoch);

        _store(commitment, progress.live, signer);
        progress.proposed = commitment.epoch;
        progress.live = commitment.epoch;
        ++progress.pending;

        emit EpochProposed(ledger, commitment.epoch, msg.sender, signer, commitment);
    }

    /// @inheritdoc IEpochSettlement
    function finalise(bytes32 ledger, uint64 epoch) external {
        Epoch storage proposed = _epochs[ledger][epoch];
        Progress storage progress = _progress[ledger];
        require(proposed.status == PROPOSED && proposed.previous == progress.latestFinal, NotProposed());
        uint64 until = proposed.proposedAt + _ledger(ledger).periods.windowSeconds;
        require(block.timestamp >= until, WindowStillRuns(until));
        (uint128 credits, uint128 debits) = (proposed.credits, proposed.debits);
        // credits ≤ debits was checked when it was proposed, and is stored.
        uint256 netDeposits = ESCROW.netDeposits(ledger);
        require(debits * WEI_PER_NANO <= netDeposits, Insolvent(debits * WEI_PER_NANO, netDeposits));

        proposed.status = FINAL;
        progress.latestFinal = epoch;
        --progress.pending;
        _totals[ledger] = Totals(credits, debits);

        emit EpochFinal(ledger, epoch, credits, debits);
    }

    /* CLAIMS */

    /// @inheritdoc IEpochSettlement
    function claim(
        bytes32 ledger,
        uint64 epoch,
        uint64 index,
        bytes32 payee,
        uint128 cumulative,
        bytes32[] calldata proof
    ) external returns (uint128 amount) {
        require(msg.sender == entitledTo(ledger, payee), NotEntitled());
        return claimFor(ledger, epoch, index, payee, cumulative, proof);
    }

    /// @inheritdoc IEpochSettlement
    function claimFor(
        bytes32 ledger,
        uint64 epoch,
        uint64 index,
        bytes32 payee,
        uint128 cumulative,
        bytes32[] calldata proof
    ) public returns (uint128 amount) {
        _checkPayout(_epochs[ledger][epoch], SettlementTree.payoutLeaf(index, payee, cumulative), index, proof);
        return _payDue(ledger, epoch, payee, cumulative);
    }

    /* VIEWS */

    /// @inheritdoc IEpochSettlement
    function finalDebitOf(bytes32 ledger, address payer, SettlementTree.DebitLeaf[] calldata leaves)
        external
        view
        returns (uint64 epoch, uint128 cumulative)
    {
        epoch = _progress[ledger].latestFinal;
        Epoch storage settled = _epochs[ledger][epoch];
        bytes32 id = bytes32(uint256(uint160(payer)));
        cumulative = settled.debitRoot.debitOf(settled.debitCount, id, leaves);
    }

    /// @inheritdoc IEpochSettlement
    function finalDebits(bytes32 ledger) external view returns (uint128) {
        return _totals[ledger].debits;
    }

    /// @inheritdoc IEpochSettlement
    function epochOf(bytes32 ledger, uint64 epoch) external view returns (Epoch memory) {
        return _epochs[ledger][epoch];
    }

    /// @inheritdoc IEpochSettlement
    function progressOf(bytes32 ledger) external view returns (Progress memory) {
        return _progress[ledger];
    }

    /// @inheritdoc IEpochSettlement
    function checkpointDigest(bytes32 ledger, uint64 size, bytes32 root) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CHECKPOINT_TYPEHASH, ledger, size, root)));
    }

    /* INTERNAL */

    /// @dev Voids a pending epoch, whose fault has been proven, and all that build on it, and pays the bond of the faulty
    /// one's proposer to the challenger.
    function _void(bytes32 ledger, uint64 epoch, address challenger) internal {
        require(_isPending(ledger, epoch), NotProposed());
        Progress storage progress = _progress[ledger];
        Epoch storage faulty = _epochs[ledger][epoch];
        uint64 last = progress.live;
        for (uint64 i = epoch; i <= last; ++i) {
            if (!_isPending(ledger, i)) continue;
            _epochs[ledger][i].status = VOIDED;
            --progress.pending;
        }
        progress.live = faulty.previous;

        emit EpochsVoided(ledger, epoch, last, challenger);

        _takeBond(ledger, faulty.proposer, challenger);
    }

    function _payDue(bytes32 ledger, uint64 epoch, bytes32 payee, uint128 cumulative) private returns (uint128 amount) {
        address account = entitledTo(ledger, payee);
        require(account != address(0), NotBound(payee));
        uint128 before = claimed[ledger][payee];
        require(cumulative > before, NothingDue());

        claimed[ledger][payee] = cumulative;
        amount = cumulative - before;

        emit Claimed(ledger, payee, account, epoch, amount, cumulative);

        ESCROW.pay(ledger, account, amount, _totals[ledger].credits);
    }

    function _checkPayout(Epoch storage settled, bytes32 leaf, uint64 index, bytes32[] calldata proof) private view {
        require(settled.status == FINAL, NotFinal());
        require(settled.payoutRoot.verify(settled.payoutCount, index, leaf, proof), InvalidProof());
    }

    function _isPending(bytes32 ledger, uint64 epoch) internal view override returns (bool) {
        return _epochs[ledger][epoch].status == PROPOSED;
    }

    function _checkCommitment(EpochCommitment calldata next, Epoch storage before) private view {
        require(
            next.credits >= before.credits && next.debits >= before.debits && next.registryBlock >= before.registryBlock
                && next.journalSize > before.journalSize && next.journalSize <= COUNT_MAX,
            NotMonotone()
        );
        require(next.credits <= next.debits, CreditsExceedDebits());
        require(
            (next.postingsRoot == 0) == (next.postingsCount == 0) && (next.payoutRoot == 0) == (next.payoutCount == 0)
                && (next.debitRoot == 0) == (next.debitCount == 0) && next.payoutCount <= COUNT_MAX
                && next.debitCount <= COUNT_MAX,
            InvalidTree()
        );
        // Only a block that is over has a settled policy, and settled owners.
        require(next.registryBlock < block.number, RegistryBlockAhead());
        bytes32 expected = POLICY.hashAt(next.registryBlock);
        require(expected != 0 && next.policyHash == expected, WrongPolicy(expected));
    }

    function _checkpointSigner(EpochCommitment calldata commitment, bytes calldata signature)
        private
        view
        returns (address signer)
    {
        signer = _ledger(commitment.ledger).roles.signer;
        bytes32 digest = checkpointDigest(commitment.ledger, commitment.journalSize, commitment.journalRoot);
        (address recovered,,) = ECDSA.tryRecoverCalldata(digest, signature);
        require(recovered == signer, InvalidCheckpoint());
    }

    /// @dev Counts and the journal's size were checked to fit; blocks, seconds and epochs are counted one by one.
    function _store(EpochCommitment calldata commitment, uint64 previous, address signer) private {
        _epochs[commitment.ledger][commitment.epoch] = Epoch({
            payoutRoot: commitment.payoutRoot,
            payoutCount: uint48(commitment.payoutCount),
            debitCount: uint48(commitment.debitCount),
            status: PROPOSED,
            proposedAt: uint40(block.timestamp),
            previous: uint48(previous),
            proposedIn: uint48(block.number),
            debitRoot: commitment.debitRoot,
            credits: commitment.credits,
            debits: commitment.debits,
            proposer: msg.sender,
            journalSize: uint48(commitment.journalSize),
            registryBlock: uint48(commitment.registryBlock),
            commitmentHash: keccak256(abi.encode(signer, commitment))
        });
    }
}
