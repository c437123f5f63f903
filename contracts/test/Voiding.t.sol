// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bond, IProposerBonds} from "../src/interfaces/IProposerBonds.sol";
import {EpochCommitment, IEpochSettlement, Progress} from "../src/interfaces/IEpochSettlement.sol";
import {Roles} from "../src/interfaces/ILedgerBook.sol";
import {World} from "./support/World.sol";

/// @dev What follows from a proven fault, and what bonds are good for.
contract VoidingTest is World {
    address private constant CHALLENGER = address(0xC4A1);

    function test_aFaultVoidsItsEpochAndItsSuccessorsAndTakesTheBond() public {
        deposit(ledger, payer, 100);
        propose(oneToOne(ledger, idOf(earner), 10, payer, 10));
        propose(oneToOne(ledger, idOf(proposer), 20, payer, 20));
        propose(oneToOne(ledger, idOf(proposer), 30, payer, 30));
        settlement.void(ledger, 2, CHALLENGER);

        Progress memory progress = settlement.progressOf(ledger);
        vm.assertEq(uint256(progress.live), 1, "the next builds on epoch 1");
        vm.assertEq(uint256(progress.pending), 1, "epoch 1 is pending");
        vm.assertEq(uint256(settlement.epochOf(ledger, 2).status), 3, "voided");
        vm.assertEq(uint256(settlement.epochOf(ledger, 3).status), 3, "its successor too");
        vm.assertEq(open.balanceOf(CHALLENGER), BOND, "the bond is the challenger's");

        EpochCommitment memory next = oneToOne(ledger, idOf(earner), 15, payer, 15);
        bytes memory signature = signed(next);
        vm.prank(proposer);
        refuses(IProposerBonds.InsufficientBond.selector);
        settlement.propose(next, signature);

        open.approve(address(settlement), BOND);
        settlement.postBond(ledger, proposer, BOND);
        propose(next);
        vm.assertEq(uint256(next.epoch), 4, "a voided number is not used again");
        vm.assertEq(uint256(settlement.epochOf(ledger, 4).previous), 1, "built on the last that stands");
        pass(periods().windowSeconds);
        refuses(IEpochSettlement.NotProposed.selector);
        settlement.finalise(ledger, 2);
        settlement.finalise(ledger, 1);
        refuses(IEpochSettlement.NotProposed.selector);
        settlement.finalise(ledger, 3);
        settlement.finalise(ledger, 4);
        settlement.claimFor(ledger, 4, 0, idOf(earner), 15, none());
        refuses(IEpochSettlement.NotFinal.selector);
        settlement.claimFor(ledger, 3, 0, idOf(proposer), 30, none());
    }

    function test_totalsOfAVoidedEpochBindNobody() public {
        deposit(ledger, payer, 100);
        EpochCommitment memory inflated = oneToOne(ledger, idOf(earner), 1_000_000, payer, 1_000_000);
        inflated.journalSize = type(uint48).max;
        propose(inflated);
        settlement.void(ledger, 1, CHALLENGER);
        open.approve(address(settlement), BOND);
        settlement.postBond(ledger, proposer, BOND);
        settle(oneToOne(ledger, idOf(earner), 10, payer, 10));
    }

    function test_finalEpochsAreNeverVoidedNorVoidedOnesAgain() public {
        deposit(ledger, payer, 100);
        settle(oneToOne(ledger, idOf(earner), 10, payer, 10));
        refuses(IEpochSettlement.NotProposed.selector);
        settlement.void(ledger, 1, CHALLENGER);
        propose(oneToOne(ledger, idOf(earner), 20, payer, 20));
        settlement.void(ledger, 2, CHALLENGER);
        refuses(IEpochSettlement.NotProposed.selector);
        settlement.void(ledger, 2, CHALLENGER);
        settlement.claimFor(ledger, 1, 0, idOf(earner), 10, none());
    }

    function test_aFaultOfOneLedgerLeavesTheOthersAlone() public {
        deposit(otherLedger, otherPayer, 100);
        propose(oneToOne(otherLedger, idOf(earner), 10, otherPayer, 10));
        propose(oneToOne(ledger, idOf(earner), 10, payer, 10));
        settlement.void(ledger, 1, CHALLENGER);
        vm.assertEq(uint256(settlement.bondOf(otherLedger, proposer).amount), BOND, "the other bond");
        pass(periods().windowSeconds);
        settlement.finalise(otherLedger, 1);
        settlement.claimFor(otherLedger, 1, 0, idOf(earner), 10, none());
    }

    function test_theFaultyProposerPaysAndNotItsSuccessor() public {
        propose(oneToOne(ledger, idOf(earner), 10, payer, 10));
        vm.prank(node);
        settlement.setRoles(ledger, Roles(vm.addr(SIGNER_KEY), stranger, attestor));
        open.approve(address(settlement), BOND);
        settlement.postBond(ledger, stranger, BOND);
        EpochCommitment memory c = oneToOne(ledger, idOf(earner), 10, payer, 10);
        bytes memory signature = signed(c);
        vm.prank(stranger);
        settlement.propose(c, signature);
        settlement.void(ledger, 1, CHALLENGER);
        vm.assertEq(uint256(settlement.bondOf(ledger, proposer).amount), 0, "the faulty one's");
        vm.assertEq(uint256(settlement.bondOf(ledger, stranger).amount), BOND, "not its successor's");
    }

    function test_aBondLeavesOnlyAfterTheThawAndWithNothingPending() public {
        deposit(ledger, payer, 100);
        propose(oneToOne(ledger, idOf(earner), 10, payer, 10));
        vm.prank(proposer);
        refuses(IProposerBonds.BondNotReleasable.selector);
        settlement.releaseBond(ledger);

        vm.prank(proposer);
        settlement.requestBondRelease(ledger);
        EpochCommitment memory c = oneToOne(ledger, idOf(earner), 20, payer, 20);
        bytes memory signature = signed(c);
        vm.prank(proposer);
        refuses(IProposerBonds.BondIsLeaving.selector);
        settlement.propose(c, signature);

        pass(periods().thawSeconds);
        vm.prank(proposer);
        refuses(IProposerBonds.BondNotReleasable.selector); // its epoch is still pending
        settlement.releaseBond(ledger);
        settlement.finalise(ledger, 1);
        vm.prank(proposer);
        settlement.releaseBond(ledger);
        vm.assertEq(open.balanceOf(proposer), BOND, "back");
        vm.prank(proposer);
        refuses(IProposerBonds.BondNotReleasable.selector);
        settlement.releaseBond(ledger);
    }

    function test_aReleaseCanBeCalledOff() public {
        vm.prank(proposer);
        settlement.requestBondRelease(ledger);
        vm.prank(proposer);
        refuses(IProposerBonds.BondIsLeaving.selector);
        settlement.requestBondRelease(ledger);
        vm.prank(proposer);
        settlement.cancelBondRelease(ledger);
        propose(oneToOne(ledger, idOf(earner), 0, payer, 0));
        Bond memory bond = settlement.bondOf(ledger, proposer);
        vm.assertEq(uint256(bond.lastEpoch), 1, "it stands behind epoch 1");
    }
}
