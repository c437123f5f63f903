// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetRegistry} from "../../src/AssetRegistry.sol";
import {EpochSettlement} from "../../src/EpochSettlement.sol";
import {FeePolicy} from "../../src/FeePolicy.sol";
import {EpochCommitment, Progress} from "../../src/interfaces/IEpochSettlement.sol";
import {Policy} from "../../src/interfaces/IFeePolicy.sol";
import {Floors, Periods, Roles} from "../../src/interfaces/ILedgerBook.sol";
import {SettlementTree} from "../../src/libraries/SettlementTree.sol";
import {OpenToken} from "../../src/OpenToken.sol";
import {PayerEscrow} from "../../src/PayerEscrow.sol";
import {Test} from "./Test.sol";
import {Trees} from "./Trees.sol";

/// @dev `_void` is internal; what a fault proof will reach through it is tested through this door.
contract VoidableSettlement is EpochSettlement {
    constructor(OpenToken open, AssetRegistry registry, FeePolicy policy, Floors memory required, address owner)
        EpochSettlement(open, registry, policy, required, owner)
    {}

    function void(bytes32 ledger, uint64 epoch, address challenger) external {
        _void(ledger, epoch, challenger);
    }
}

/// @dev A deployment with two ledgers of two owners, each with its bond posted, and short words to move it along.
abstract contract World is Test {
    uint256 internal constant NANO = 1e9;
    uint128 internal constant BOND = 1_000e18;
    uint256 internal constant SIGNER_KEY = 0xA11CE;
    uint256 internal constant OTHER_SIGNER_KEY = 0xB0B;

    address internal governor = address(0x60);
    address internal node = address(0x4E0DE);
    address internal otherNode = address(0x4E0DF);
    address internal proposer = address(0x9809);
    address internal attestor = address(0xA77);
    address internal payer = address(0x9A1);
    address internal otherPayer = address(0x9A2);
    address internal earner = address(0xEA1);
    address internal stranger = address(0x5715);

    OpenToken internal open;
    AssetRegistry internal registry;
    FeePolicy internal policy;
    VoidableSettlement internal settlement;
    PayerEscrow internal escrow;
    bytes32 internal ledger;
    bytes32 internal otherLedger;

    function setUp() public virtual {
        open = new OpenToken(address(this));
        registry = new AssetRegistry();
        policy = new FeePolicy(governor, defaultPolicy());
        settlement = new VoidableSettlement(open, registry, policy, Floors(60, 120, 600, BOND), governor);
        escrow = PayerEscrow(address(settlement.ESCROW()));
        ledger = openLedger(node, SIGNER_KEY);
        otherLedger = openLedger(otherNode, OTHER_SIGNER_KEY);
        fund(payer, 1_000_000e18);
        fund(otherPayer, 1_000_000e18);
        pass(1);
    }

    function defaultPolicy() internal pure returns (Policy memory) {
        return
            Policy(
                2_500, 1_000, 5_000, 1_000, 500, 2_000, bytes32(uint256(1)), bytes32(uint256(2)), bytes32(uint256(3))
            );
    }

    function periods() internal pure returns (Periods memory) {
        return Periods(60, 600, 1_000, 300, 3_600);
    }

    function openLedger(address owner, uint256 signerKey) internal returns (bytes32 opened) {
        vm.prank(owner);
        opened = settlement.openLedger("books", Roles(vm.addr(signerKey), proposer, attestor), periods());
        open.approve(address(settlement), BOND);
        settlement.postBond(opened, proposer, BOND);
    }

    function fund(address account, uint256 amount) internal {
        open.transfer(account, amount);
        vm.prank(account);
        open.approve(address(escrow), type(uint256).max);
    }

    /// @dev Seconds and blocks go by.
    function pass(uint256 time) internal {
        vm.warp(block.timestamp + time);
        vm.roll(block.number + 1);
    }

    function deposit(bytes32 to, address account, uint256 nano) internal {
        vm.prank(account);
        escrow.deposit(to, account, nano * NANO);
    }

    /// @dev One payee and one payer, each the only leaf of its tree.
    function oneToOne(bytes32 book, bytes32 payee, uint128 earned, address account, uint128 spent)
        internal
        view
        returns (EpochCommitment memory commitment)
    {
        Progress memory progress = settlement.progressOf(book);
        commitment = EpochCommitment({
            ledger: book,
            epoch: progress.proposed + 1,
            journalSize: settlement.epochOf(book, progress.live).journalSize + 10,
            journalRoot: keccak256(abi.encode("journal", progress.proposed)),
            postingsRoot: keccak256("postings"),
            postingsCount: 1,
            payoutRoot: SettlementTree.payoutLeaf(0, payee, earned),
            payoutCount: 1,
            debitRoot: SettlementTree.debitLeaf(0, idOf(account), spent),
            debitCount: 1,
            credits: earned,
            debits: spent,
            registryBlock: uint64(block.number - 1),
            policyHash: policy.current()
        });
    }

    function propose(EpochCommitment memory commitment) internal {
        bytes memory signature = signed(commitment);
        vm.prank(proposer);
        settlement.propose(commitment, signature);
    }

    function signed(EpochCommitment memory commitment) internal view returns (bytes memory) {
        uint256 key = commitment.ledger == ledger ? SIGNER_KEY : OTHER_SIGNER_KEY;
        return signedBy(key, commitment);
    }

    function signedBy(uint256 key, EpochCommitment memory commitment) internal view returns (bytes memory) {
        bytes32 digest = settlement.checkpointDigest(commitment.ledger, commitment.journalSize, commitment.journalRoot);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev Proposes, waits for the window and finalises.
    function settle(EpochCommitment memory commitment) internal {
        propose(commitment);
        pass(periods().windowSeconds);
        settlement.finalise(commitment.ledger, commitment.epoch);
    }

    function idOf(address account) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }

    function none() internal pure returns (bytes32[] memory) {
        return new bytes32[](0);
    }

    /// @dev The proof of a payer whose leaf is the only one.
    function soleDebit(address account, uint128 cumulative)
        internal
        pure
        returns (SettlementTree.DebitLeaf[] memory leaves)
    {
        leaves = new SettlementTree.DebitLeaf[](1);
        leaves[0] = SettlementTree.DebitLeaf(0, idOf(account), cumulative, none());
    }

    function noDebit() internal pure returns (SettlementTree.DebitLeaf[] memory) {
        return new SettlementTree.DebitLeaf[](0);
    }
}
