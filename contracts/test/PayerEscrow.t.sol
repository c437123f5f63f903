// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPayerEscrow} from "../src/interfaces/IPayerEscrow.sol";
import {SettlementTree} from "../src/libraries/SettlementTree.sol";
import {World} from "./support/World.sol";

contract PayerEscrowTest is World {
    function test_depositsAreNumberedPerLedgerWithoutGaps() public {
        vm.expectEmit(address(escrow));
        emit IPayerEscrow.Deposited(ledger, otherPayer, 0, payer, uint128(5 * NANO), uint128(5 * NANO));
        vm.prank(payer);
        escrow.deposit(ledger, otherPayer, 5 * NANO);
        deposit(otherLedger, payer, 1);
        vm.prank(payer);
        vm.assertEq(uint256(escrow.deposit(ledger, payer, NANO)), 1, "the second of this ledger");
        vm.assertEq(escrow.netDeposits(ledger), 6 * NANO, "all of this ledger");
        vm.assertEq(uint256(escrow.accountOf(ledger, otherPayer).deposited), 5 * NANO, "the payer's own");
    }

    function test_depositsThatMakeNoSenseAreRefused() public {
        vm.prank(payer);
        refuses(IPayerEscrow.UnknownLedger.selector);
        escrow.deposit("nowhere", payer, NANO);
        vm.prank(payer);
        refuses(IPayerEscrow.EmptyAddress.selector);
        escrow.deposit(ledger, address(0), NANO);
        vm.prank(payer);
        refuses(IPayerEscrow.InvalidAmount.selector);
        escrow.deposit(ledger, payer, 0);
        vm.prank(payer);
        refuses(IPayerEscrow.InvalidAmount.selector);
        escrow.deposit(ledger, payer, NANO + 1);
        vm.prank(payer);
        refuses(IPayerEscrow.InvalidAmount.selector);
        escrow.deposit(ledger, payer, NANO << 128);
    }

    function test_aPermitSentInFirstBySomebodyElseIsNoObstacle() public {
        uint256 key = 0x9E12;
        address owner = vm.addr(key);
        open.transfer(owner, 10 * NANO);
        (uint8 v, bytes32 r, bytes32 s) = permitOf(key, owner, 10 * NANO);
        vm.prank(stranger);
        open.permit(owner, address(escrow), 10 * NANO, block.timestamp, v, r, s);
        vm.prank(owner);
        escrow.depositWithPermit(ledger, owner, 10 * NANO, block.timestamp, v, r, s);
        vm.assertEq(escrow.netDeposits(ledger), 10 * NANO, "deposited");
    }

    function test_aPermitMovesOnlyTheCallersMoney() public {
        uint256 key = 0x9E12;
        address owner = vm.addr(key);
        open.transfer(owner, 10 * NANO);
        (uint8 v, bytes32 r, bytes32 s) = permitOf(key, owner, 10 * NANO);
        vm.prank(stranger);
        refuses(bytes4(keccak256("ERC20InsufficientAllowance(address,uint256,uint256)")));
        escrow.depositWithPermit(ledger, stranger, 10 * NANO, block.timestamp, v, r, s);
    }

    function test_withdrawalsThawAndStartOverWhenAskedAgain() public {
        deposit(ledger, payer, 100);
        refuses(IPayerEscrow.NoWithdrawal.selector);
        escrow.withdraw(ledger, payer, noDebit());
        request(payer, 60);
        pass(periods().thawSeconds - 1);
        refuses(IPayerEscrow.StillThawing.selector);
        escrow.withdraw(ledger, payer, noDebit());
        request(payer, 70);
        pass(1);
        refuses(IPayerEscrow.StillThawing.selector);
        escrow.withdraw(ledger, payer, noDebit());
        pass(periods().thawSeconds);
        vm.prank(stranger);
        vm.assertEq(uint256(escrow.withdraw(ledger, payer, noDebit())), 70 * NANO, "relayed, to the payer");
        vm.assertEq(open.balanceOf(stranger), 0, "not to the relayer");
        refuses(IPayerEscrow.NoWithdrawal.selector);
        escrow.withdraw(ledger, payer, noDebit());
    }

    function test_nobodyWithdrawsMoreThanTheirOwnBalance() public {
        deposit(ledger, payer, 10);
        deposit(ledger, otherPayer, 1_000);
        vm.prank(payer);
        refuses(IPayerEscrow.ExceedsBalance.selector);
        escrow.requestWithdrawal(ledger, 11 * NANO);
        vm.prank(payer);
        refuses(IPayerEscrow.ExceedsBalance.selector);
        escrow.requestWithdrawal(otherLedger, NANO);
    }

    function test_whatWasSpentBeforeTheRequestIsFinalBeforeItIsPaid() public {
        deposit(ledger, payer, 100);
        // The worst case: asked right after spending at an epoch's start; the epoch closes and is proposed an epoch late.
        request(payer, 100);
        pass(2 * periods().epochSeconds);
        propose(oneToOne(ledger, idOf(earner), 80, payer, 80));
        pass(periods().thawSeconds - 2 * periods().epochSeconds);
        settlement.finalise(ledger, 1);
        vm.assertEq(uint256(escrow.withdraw(ledger, payer, soleDebit(payer, 80))), 20 * NANO, "what was not spent");
        settlement.claimFor(ledger, 1, 0, idOf(earner), 80, none());
    }

    function test_aDebitIsShownUnderTheLatestFinalEpochOnly() public {
        deposit(ledger, payer, 100);
        request(payer, 100);
        settle(oneToOne(ledger, idOf(earner), 30, payer, 30));
        settle(oneToOne(ledger, idOf(earner), 50, payer, 50));
        refuses(SettlementTree.InvalidDebitProof.selector);
        escrow.withdraw(ledger, payer, soleDebit(payer, 30));
        refuses(SettlementTree.InvalidDebitProof.selector);
        escrow.withdraw(ledger, payer, noDebit());
        refuses(SettlementTree.InvalidDebitProof.selector);
        escrow.withdraw(ledger, payer, soleDebit(otherPayer, 0));
        vm.assertEq(uint256(escrow.withdraw(ledger, payer, soleDebit(payer, 50))), 50 * NANO, "the latest");
    }

    function test_aPayerWithoutDebitShowsItsNeighbour() public {
        deposit(ledger, payer, 100);
        deposit(ledger, otherPayer, 100);
        vm.prank(otherPayer);
        escrow.requestWithdrawal(ledger, 100 * NANO);
        settle(oneToOne(ledger, idOf(earner), 30, payer, 30));
        pass(periods().thawSeconds);
        escrow.withdraw(ledger, otherPayer, soleDebit(payer, 30));
        vm.assertEq(uint256(escrow.accountOf(ledger, otherPayer).withdrawn), 100 * NANO, "all of it");
    }

    function test_withdrawalsLeaveWhatFinalDebitsNeed() public {
        deposit(ledger, payer, 10);
        deposit(ledger, otherPayer, 100);
        // The node let one payer spend more than it had: the payees are paid, and the other payer waits for the rest.
        settle(oneToOne(ledger, idOf(earner), 30, payer, 30));
        vm.prank(otherPayer);
        escrow.requestWithdrawal(ledger, 100 * NANO);
        pass(periods().thawSeconds);
        vm.assertEq(
            uint256(escrow.withdraw(ledger, otherPayer, soleDebit(payer, 30))), 80 * NANO, "what there is room for"
        );
        refuses(IPayerEscrow.NothingToWithdraw.selector);
        escrow.withdraw(ledger, otherPayer, soleDebit(payer, 30));
        settlement.claimFor(ledger, 1, 0, idOf(earner), 30, none());
        deposit(ledger, payer, 20);
        vm.assertEq(
            uint256(escrow.withdraw(ledger, otherPayer, soleDebit(payer, 30))), 20 * NANO, "the rest, still asked for"
        );
    }

    function test_withoutAProofAPayerWaitsForTheExit() public {
        deposit(ledger, payer, 100);
        request(payer, 100);
        settle(oneToOne(ledger, idOf(earner), 30, payer, 30));
        pass(periods().thawSeconds);
        vm.prank(payer);
        refuses(IPayerEscrow.StillThawing.selector);
        escrow.withdrawUnproven(ledger);
        // Whoever has the tree can put the debit on record in the meantime.
        vm.prank(stranger);
        escrow.proveDebit(ledger, payer, soleDebit(payer, 30));
        pass(escrow.EXIT_SECONDS());
        vm.prank(stranger);
        refuses(IPayerEscrow.NoWithdrawal.selector);
        escrow.withdrawUnproven(ledger);
        vm.prank(payer);
        vm.assertEq(uint256(escrow.withdrawUnproven(ledger)), 70 * NANO, "deposit minus proven debit");
    }

    function test_evenAnUnprovenExitLeavesWhatFinalDebitsNeed() public {
        deposit(ledger, payer, 100);
        request(payer, 100);
        settle(oneToOne(ledger, idOf(earner), 30, payer, 30));
        pass(periods().thawSeconds + escrow.EXIT_SECONDS());
        vm.prank(payer);
        vm.assertEq(uint256(escrow.withdrawUnproven(ledger)), 70 * NANO, "nobody had proven the 30");
        settlement.claimFor(ledger, 1, 0, idOf(earner), 30, none());
    }

    function test_aRequestCanBeCalledOff() public {
        deposit(ledger, payer, 100);
        vm.prank(payer);
        refuses(IPayerEscrow.NoWithdrawal.selector);
        escrow.cancelWithdrawal(ledger);
        request(payer, 100);
        vm.prank(payer);
        escrow.cancelWithdrawal(ledger);
        pass(periods().thawSeconds);
        refuses(IPayerEscrow.NoWithdrawal.selector);
        escrow.withdraw(ledger, payer, noDebit());
    }

    function test_onlyTheSettlementPays() public {
        deposit(ledger, payer, 100);
        vm.prank(node);
        refuses(IPayerEscrow.NotSettlement.selector);
        escrow.pay(ledger, node, 1, 1);
    }

    function test_signersActForTheirPayerAtOneLedgerUntilTheirTime() public {
        vm.prank(payer);
        escrow.setSigner(ledger, stranger, uint64(block.timestamp + 100));
        vm.assertTrue(escrow.isSigner(ledger, payer, stranger), "now");
        vm.assertTrue(escrow.isSigner(ledger, payer, payer), "itself always");
        vm.assertTrue(!escrow.isSigner(otherLedger, payer, stranger), "not at another ledger");
        vm.assertTrue(!escrow.isSigner(ledger, otherPayer, stranger), "not for another payer");
        pass(100);
        vm.assertTrue(!escrow.isSigner(ledger, payer, stranger), "no longer");
        vm.prank(payer);
        escrow.setSigner(ledger, stranger, type(uint64).max);
        vm.prank(payer);
        escrow.setSigner(ledger, stranger, 0);
        vm.assertTrue(!escrow.isSigner(ledger, payer, stranger), "revoked");
        vm.assertEq(uint256(escrow.signerUntil(ledger, payer, stranger)), block.timestamp, "and when is on record");
    }

    function request(address account, uint256 nano) private {
        vm.prank(account);
        escrow.requestWithdrawal(ledger, nano * NANO);
    }

    function permitOf(uint256 key, address owner, uint256 amount) private view returns (uint8, bytes32, bytes32) {
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 message =
            keccak256(abi.encode(typehash, owner, address(escrow), amount, open.nonces(owner), block.timestamp));
        return vm.sign(key, keccak256(abi.encodePacked(hex"1901", open.DOMAIN_SEPARATOR(), message)));
    }
}
