// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Epoch, EpochCommitment, IEpochSettlement, Progress} from "../src/interfaces/IEpochSettlement.sol";
import {ILedgerBook, Roles} from "../src/interfaces/ILedgerBook.sol";
import {IPayerEscrow} from "../src/interfaces/IPayerEscrow.sol";
import {World} from "./support/World.sol";

contract EpochSettlementTest is World {
    function test_depositProposeFinaliseClaimWithdraw() public {
        deposit(ledger, payer, 100);
        settle(oneToOne(ledger, idOf(earner), 40, payer, 40));
        vm.expectEmit(address(settlement));
        emit IEpochSettlement.Claimed(ledger, idOf(earner), earner, 1, 40, 40);
        vm.prank(earner);
        settlement.claim(ledger, 1, 0, idOf(earner), 40, none());
        vm.assertEq(open.balanceOf(earner), 40 * NANO, "the earner has it");

        vm.prank(payer);
        escrow.requestWithdrawal(ledger, 100 * NANO);
        pass(periods().thawSeconds);
        uint256 before = open.balanceOf(payer);
        escrow.withdraw(ledger, payer, soleDebit(payer, 40));
        vm.assertEq(open.balanceOf(payer) - before, 60 * NANO, "deposit minus final debit");
        vm.assertEq(open.balanceOf(address(escrow)), 0, "nothing is left behind");
    }

    function test_everyCommitmentIsStored() public {
        EpochCommitment memory c = oneToOne(ledger, idOf(earner), 3, payer, 4);
        c.postingsCount = 5;
        propose(c);
        Epoch memory epoch = settlement.epochOf(ledger, 1);
        bytes memory stored = abi.encode(
            epoch.journalSize,
            epoch.payoutRoot,
            epoch.payoutCount,
            epoch.debitRoot,
            epoch.debitCount,
            epoch.credits,
            epoch.debits,
            epoch.registryBlock
        );
        bytes memory committed = abi.encode(
            c.journalSize,
            c.payoutRoot,
            c.payoutCount,
            c.debitRoot,
            c.debitCount,
            c.credits,
            c.debits,
            c.registryBlock
        );
        vm.assertEq(keccak256(stored), keccak256(committed), "what later calls need");
        address signer = vm.addr(SIGNER_KEY);
        vm.assertEq(epoch.commitmentHash, keccak256(abi.encode(signer, c)), "all of it, and whose signature");
        vm.assertEq(uint256(epoch.status), 1, "proposed");
        vm.assertEq(epoch.proposer, proposer, "whose bond");
        vm.assertEq(uint256(epoch.proposedAt), block.timestamp, "when");
        vm.assertEq(uint256(epoch.proposedIn), block.number, "where its log is");
    }

    function test_onlyTheProposerProposesAndOnlyTheNextEpoch() public {
        EpochCommitment memory c = oneToOne(ledger, idOf(earner), 1, payer, 1);
        bytes memory signature = signed(c);
        refuses(IEpochSettlement.NotProposer.selector);
        settlement.propose(c, signature);
        c.epoch = 2;
        refusesProposal(c, IEpochSettlement.WrongEpoch.selector);
        c.epoch = 0;
        refusesProposal(c, IEpochSettlement.WrongEpoch.selector);
    }

    function test_aLedgerThatBeganOnCreditGoesOnCountingItsEpochs() public {
        vm.prank(node);
        bytes32 adopted = settlement.adoptLedger(Roles(vm.addr(OTHER_SIGNER_KEY), node, attestor), periods());
        open.approve(address(settlement), BOND);
        settlement.postBond(adopted, node, BOND);
        deposit(adopted, payer, 5);
        EpochCommitment memory c = oneToOne(adopted, idOf(earner), 5, payer, 5);
        c.epoch = 0;
        refusesAdopted(c);
        c.epoch = 8;
        bytes memory signature = signed(c);
        vm.prank(node);
        settlement.propose(c, signature);
        EpochCommitment memory later = oneToOne(adopted, idOf(earner), 5, payer, 5);
        vm.assertEq(uint256(later.epoch), 9, "the next");
        later.epoch = 10;
        refusesAdopted(later);
        pass(periods().windowSeconds);
        settlement.finalise(adopted, 8);
        settlement.claimFor(adopted, 8, 0, idOf(earner), 5, none());
        vm.assertEq(open.balanceOf(earner), 5 * NANO, "what was owed");
    }

    function refusesAdopted(EpochCommitment memory c) private {
        bytes memory signature = signed(c);
        vm.prank(node);
        refuses(IEpochSettlement.WrongEpoch.selector);
        settlement.propose(c, signature);
    }

    function test_checkpointSignaturesAreBoundToLedgerSizeRootSignerContractAndChain() public {
        EpochCommitment memory c = oneToOne(ledger, idOf(earner), 1, payer, 1);
        bytes memory good = signed(c);
        bytes memory byOther = signedBy(OTHER_SIGNER_KEY, c);
        refusesSignature(c, byOther);

        EpochCommitment memory replayed = oneToOne(otherLedger, idOf(earner), 1, payer, 1);
        (replayed.journalSize, replayed.journalRoot) = (c.journalSize, c.journalRoot);
        refusesSignature(replayed, good);

        EpochCommitment memory resized = oneToOne(ledger, idOf(earner), 1, payer, 1);
        resized.journalSize = c.journalSize + 1;
        refusesSignature(resized, good);
        EpochCommitment memory rewritten = oneToOne(ledger, idOf(earner), 1, payer, 1);
        rewritten.journalRoot = keccak256("another history");
        refusesSignature(rewritten, good);

        vm.chainId(999);
        refusesSignature(c, good);
        vm.chainId(31_337);

        // The high-s twin of a good signature, a truncated one, none at all.
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(SIGNER_KEY, settlement.checkpointDigest(ledger, c.journalSize, c.journalRoot));
        uint256 n = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        refusesSignature(c, abi.encodePacked(r, n - uint256(s), v == 27 ? 28 : 27));
        refusesSignature(c, abi.encodePacked(r, s));
        refusesSignature(c, "");
        vm.prank(proposer);
        settlement.propose(c, good);
    }

    function test_aReplacedSignerSignsNoMore() public {
        vm.prank(node);
        settlement.setRoles(ledger, Roles(vm.addr(0xC0C0A), proposer, attestor));
        EpochCommitment memory c = oneToOne(ledger, idOf(earner), 1, payer, 1);
        refusesSignature(c, signedBy(SIGNER_KEY, c));
        bytes memory signature = signedBy(0xC0C0A, c);
        vm.prank(proposer);
        settlement.propose(c, signature);
    }

    function test_totalsJournalAndRegistryBlockNeverFall() public {
        EpochCommitment memory first = oneToOne(ledger, idOf(earner), 50, payer, 60);
        propose(first);
        pass(1);
        EpochCommitment memory c = oneToOne(ledger, idOf(earner), 49, payer, 60);
        refusesProposal(c, IEpochSettlement.NotMonotone.selector);
        c = oneToOne(ledger, idOf(earner), 50, payer, 59);
        refusesProposal(c, IEpochSettlement.NotMonotone.selector);
        c = oneToOne(ledger, idOf(earner), 50, payer, 60);
        c.journalSize = first.journalSize - 1;
        refusesProposal(c, IEpochSettlement.NotMonotone.selector);
        c = oneToOne(ledger, idOf(earner), 50, payer, 60);
        c.journalSize = first.journalSize;
        refusesProposal(c, IEpochSettlement.NotMonotone.selector);
        c = oneToOne(ledger, idOf(earner), 50, payer, 60);
        c.registryBlock = first.registryBlock - 1;
        refusesProposal(c, IEpochSettlement.NotMonotone.selector);
        c = oneToOne(ledger, idOf(earner), 61, payer, 60);
        refusesProposal(c, IEpochSettlement.CreditsExceedDebits.selector);
        c = oneToOne(ledger, idOf(earner), 50, payer, 60);
        (c.journalSize, c.journalRoot) = (first.journalSize, first.journalRoot);
        refusesProposal(c, IEpochSettlement.NotMonotone.selector);
        c.journalSize = uint64(1) << 48;
        refusesProposal(c, IEpochSettlement.NotMonotone.selector);
        // An epoch in which nothing happened is an entry of the journal all the same.
        c = oneToOne(ledger, idOf(earner), 50, payer, 60);
        c.journalSize = first.journalSize + 1;
        (c.postingsRoot, c.postingsCount) = (0, 0);
        propose(c);
    }

    function test_malformedTreesFutureBlocksAndForeignPoliciesAreRefused() public {
        EpochCommitment memory c = oneToOne(ledger, idOf(earner), 1, payer, 1);
        c.payoutCount = 0;
        refusesProposal(c, IEpochSettlement.InvalidTree.selector);
        c = oneToOne(ledger, idOf(earner), 1, payer, 1);
        c.debitRoot = 0;
        refusesProposal(c, IEpochSettlement.InvalidTree.selector);
        // Leaves that 48 bits cannot count.
        c = oneToOne(ledger, idOf(earner), 1, payer, 1);
        c.payoutCount = uint64(1) << 48;
        refusesProposal(c, IEpochSettlement.InvalidTree.selector);
        c = oneToOne(ledger, idOf(earner), 1, payer, 1);
        c.debitCount = uint64(1) << 48;
        refusesProposal(c, IEpochSettlement.InvalidTree.selector);
        c = oneToOne(ledger, idOf(earner), 1, payer, 1);
        c.postingsRoot = 0;
        refusesProposal(c, IEpochSettlement.InvalidTree.selector);
        c = oneToOne(ledger, idOf(earner), 1, payer, 1);
        c.registryBlock = uint64(block.number);
        refusesProposal(c, IEpochSettlement.RegistryBlockAhead.selector);
        c = oneToOne(ledger, idOf(earner), 1, payer, 1);
        c.policyHash = keccak256("mine");
        refusesProposal(c, IEpochSettlement.WrongPolicy.selector);
        c = oneToOne(ledger, idOf(earner), 1, payer, 1);
        c.registryBlock = 1; // before there was a policy
        c.policyHash = 0;
        refusesProposal(c, IEpochSettlement.WrongPolicy.selector);
    }

    function test_finalOnlyAfterTheWindowInOrderAndOnce() public {
        deposit(ledger, payer, 100);
        propose(oneToOne(ledger, idOf(earner), 1, payer, 1));
        propose(oneToOne(ledger, idOf(earner), 2, payer, 2));
        pass(periods().windowSeconds - 1);
        refuses(IEpochSettlement.WindowStillRuns.selector);
        settlement.finalise(ledger, 1);
        pass(1);
        refuses(IEpochSettlement.NotProposed.selector);
        settlement.finalise(ledger, 2);
        settlement.finalise(ledger, 1);
        refuses(IEpochSettlement.NotProposed.selector);
        settlement.finalise(ledger, 1);
        settlement.finalise(ledger, 2);
        Progress memory progress = settlement.progressOf(ledger);
        vm.assertEq(uint256(progress.pending), 0, "none pending");
        vm.assertEq(uint256(progress.latestFinal), 2, "two final");
    }

    function test_anInsolventEpochWaitsForADeposit() public {
        deposit(ledger, payer, 99);
        deposit(otherLedger, otherPayer, 1_000);
        propose(oneToOne(ledger, idOf(earner), 100, payer, 100));
        pass(periods().windowSeconds);
        refuses(IEpochSettlement.Insolvent.selector);
        settlement.finalise(ledger, 1);
        deposit(ledger, otherPayer, 1);
        settlement.finalise(ledger, 1);
        settlement.claimFor(ledger, 1, 0, idOf(earner), 100, none());
    }

    function test_claimsAreCumulativeAndPayOnce() public {
        deposit(ledger, payer, 100);
        settle(oneToOne(ledger, idOf(earner), 10, payer, 10));
        settle(oneToOne(ledger, idOf(earner), 25, payer, 25));
        settlement.claimFor(ledger, 1, 0, idOf(earner), 10, none());
        refuses(IEpochSettlement.NothingDue.selector);
        settlement.claimFor(ledger, 1, 0, idOf(earner), 10, none());
        vm.assertEq(uint256(settlement.claimFor(ledger, 2, 0, idOf(earner), 25, none())), 15, "the rest");
        refuses(IEpochSettlement.NothingDue.selector);
        settlement.claimFor(ledger, 1, 0, idOf(earner), 10, none());
        vm.assertEq(open.balanceOf(earner), 25 * NANO, "25 in all");
    }

    function test_whoeverRelaysTheMoneyGoesToTheEntitledAddress() public {
        deposit(ledger, payer, 100);
        settle(oneToOne(ledger, idOf(earner), 10, payer, 10));
        vm.prank(stranger);
        refuses(IEpochSettlement.NotEntitled.selector);
        settlement.claim(ledger, 1, 0, idOf(earner), 10, none());
        vm.prank(stranger);
        settlement.claimFor(ledger, 1, 0, idOf(earner), 10, none());
        vm.assertEq(open.balanceOf(stranger), 0, "the relayer gets nothing");
        vm.assertEq(open.balanceOf(earner), 10 * NANO, "the earner all");
    }

    function test_claimsNeedAFinalEpochAndAnExactProof() public {
        deposit(ledger, payer, 100);
        propose(oneToOne(ledger, idOf(earner), 10, payer, 10));
        refuses(IEpochSettlement.NotFinal.selector);
        settlement.claimFor(ledger, 1, 0, idOf(earner), 10, none());
        pass(periods().windowSeconds);
        settlement.finalise(ledger, 1);
        refuses(IEpochSettlement.InvalidProof.selector);
        settlement.claimFor(ledger, 1, 0, idOf(earner), 11, none());
        refuses(IEpochSettlement.InvalidProof.selector);
        settlement.claimFor(ledger, 1, 0, idOf(stranger), 10, none());
        refuses(IEpochSettlement.InvalidProof.selector);
        settlement.claimFor(ledger, 1, 1, idOf(earner), 10, none());
        refuses(IEpochSettlement.InvalidProof.selector);
        settlement.claimFor(ledger, 1, 0, idOf(earner), 10, new bytes32[](1));
        refuses(IEpochSettlement.NotFinal.selector);
        settlement.claimFor(otherLedger, 1, 0, idOf(earner), 10, none());
    }

    function test_aPayoutTreeThatPromisesMoreThanTheCreditsPaysNobodyElsesMoney() public {
        deposit(ledger, payer, 100);
        deposit(otherLedger, otherPayer, 1_000);
        EpochCommitment memory c = oneToOne(ledger, idOf(proposer), 1_000, payer, 50);
        c.credits = 50;
        settle(c);
        refuses(IPayerEscrow.ExceedsCredits.selector);
        settlement.claimFor(ledger, 1, 0, idOf(proposer), 1_000, none());
        vm.assertEq(open.balanceOf(proposer), 0, "nothing for the proposer");
    }

    function test_pausingStopsProposalsDepositsAndLedgersAndNothingElse() public {
        deposit(ledger, payer, 100);
        propose(oneToOne(ledger, idOf(earner), 10, payer, 10));
        vm.prank(payer);
        escrow.requestWithdrawal(ledger, 50 * NANO);
        vm.prank(governor);
        settlement.pause();

        refusesProposal(oneToOne(ledger, idOf(earner), 10, payer, 10), ILedgerBook.IsPaused.selector);
        vm.prank(payer);
        refuses(IPayerEscrow.DepositsPaused.selector);
        escrow.deposit(ledger, payer, NANO);
        refuses(ILedgerBook.IsPaused.selector);
        settlement.openLedger("new", Roles(node, node, node), periods());

        pass(periods().thawSeconds);
        settlement.finalise(ledger, 1);
        settlement.claimFor(ledger, 1, 0, idOf(earner), 10, none());
        escrow.withdraw(ledger, payer, soleDebit(payer, 10));
        vm.assertTrue(settlement.paused(), "still paused all the while");
    }

    function refusesProposal(EpochCommitment memory c, bytes4 selector) private {
        bytes memory signature = signed(c);
        vm.prank(proposer);
        refuses(selector);
        settlement.propose(c, signature);
    }

    function refusesSignature(EpochCommitment memory c, bytes memory signature) private {
        vm.prank(proposer);
        refuses(IEpochSettlement.InvalidCheckpoint.selector);
        settlement.propose(c, signature);
    }
}
