// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILedgerBook, Ledger, Periods, Roles, SignerTerm} from "../src/interfaces/ILedgerBook.sol";
import {World} from "./support/World.sol";

contract LedgerBookTest is World {
    function test_theIdIsTheHashOfChainContractOwnerAndSalt() public view {
        bytes32 expected = keccak256(abi.encode(uint256(31_337), address(settlement), node, bytes32("books")));
        vm.assertEq(ledger, expected, "the ledger id");
        Ledger memory opened = settlement.ledgerOf(ledger);
        vm.assertEq(opened.owner, node, "owner");
        vm.assertEq(opened.roles.proposer, proposer, "proposer");
        vm.assertEq(uint256(opened.periods.thawSeconds), periods().thawSeconds, "periods");
    }

    function test_aLedgerIsOpenedOnceAndTheSameSaltIsAnotherLedgerForAnotherOwner() public {
        vm.prank(node);
        refuses(ILedgerBook.LedgerExists.selector);
        settlement.openLedger("books", roles(), periods());
        vm.prank(stranger);
        vm.assertTrue(settlement.openLedger("books", roles(), periods()) != ledger, "another id");
    }

    function test_aLedgerOnCreditIsOpenedUnderItsOwnIdByTheKeyThatSignsItAndByNobodyElse() public {
        bytes32 expected = keccak256(bytes.concat("openledger credit ledger", bytes20(node)));
        vm.prank(stranger);
        vm.assertTrue(settlement.adoptLedger(roles(), periods()) != expected, "a stranger opens its own");
        vm.assertTrue(!settlement.isOpen(expected), "and not the node's");
        vm.prank(node);
        vm.assertEq(settlement.adoptLedger(roles(), periods()), expected, "the id in its journal");
        vm.assertEq(settlement.ledgerOf(expected).owner, node, "owner");
        vm.assertEq(settlement.creditLedgerId(node), expected, "as it is said");
        vm.prank(node);
        refuses(ILedgerBook.LedgerExists.selector);
        settlement.adoptLedger(roles(), periods());
        vm.prank(otherNode);
        refuses(ILedgerBook.InvalidPeriods.selector);
        settlement.adoptLedger(roles(), Periods(0, 600, 1_000, 300, 3_600));
    }

    function test_periodsStayWithinTheirLimits() public {
        Periods[9] memory bad = [
            Periods(0, 600, 1_000, 300, 3_600),
            Periods(60, 59, 1_000, 300, 3_600),
            Periods(60, 31 days, 40 days, 300, 3_600),
            Periods(60, 600, 719, 300, 3_600),
            Periods(60, 600, 91 days, 300, 3_600),
            Periods(60, 600, 1_000, 119, 3_600),
            Periods(60, 600, 1_000, 31 days, 40 days),
            Periods(60, 600, 1_000, 300, 599),
            Periods(60, 600, 1_000, 1_000, 1_000)
        ];
        for (uint256 i; i < bad.length; ++i) {
            refuses(ILedgerBook.InvalidPeriods.selector);
            settlement.openLedger("new", roles(), bad[i]);
        }
        settlement.openLedger("new", roles(), Periods(60, 600, 720, 120, 600));
    }

    function test_onlyItsOwnerSetsRolesAndNoneIsEmpty() public {
        vm.prank(otherNode);
        refuses(ILedgerBook.NotLedgerOwner.selector);
        settlement.setRoles(ledger, roles());
        refuses(ILedgerBook.UnknownLedger.selector);
        settlement.setRoles("nowhere", roles());
        vm.prank(node);
        refuses(ILedgerBook.EmptyRole.selector);
        settlement.setRoles(ledger, Roles(address(0), proposer, attestor));
        vm.prank(node);
        refuses(ILedgerBook.EmptyRole.selector);
        settlement.setRoles(ledger, Roles(stranger, address(0), attestor));
        vm.prank(node);
        refuses(ILedgerBook.EmptyRole.selector);
        settlement.setRoles(ledger, Roles(stranger, proposer, address(0)));
    }

    function test_everySignerHasOneTermAndItStaysOnRecord() public {
        uint256 opened = block.timestamp - 1;
        pass(50);
        vm.prank(node);
        settlement.setRoles(ledger, Roles(stranger, proposer, attestor));
        SignerTerm memory first = settlement.signerTerm(ledger, vm.addr(SIGNER_KEY));
        SignerTerm memory second = settlement.signerTerm(ledger, stranger);
        vm.assertEq(uint256(first.from), opened, "since it was opened");
        vm.assertEq(uint256(first.until), block.timestamp, "until it was replaced");
        vm.assertEq(uint256(second.from), block.timestamp, "its successor from then");
        vm.assertEq(uint256(second.until), 0, "and still");
        vm.prank(node);
        refuses(ILedgerBook.SignerRetired.selector);
        settlement.setRoles(ledger, Roles(vm.addr(SIGNER_KEY), proposer, attestor));
        vm.prank(node);
        settlement.setRoles(ledger, Roles(stranger, earner, attestor)); // the same signer stays
        vm.assertEq(uint256(settlement.signerTerm(ledger, stranger).until), 0, "unbroken");
    }

    function test_ledgersChangeHandsInTwoSteps() public {
        vm.prank(node);
        settlement.transferLedger(ledger, stranger);
        vm.prank(earner);
        refuses(ILedgerBook.NotLedgerOwner.selector);
        settlement.acceptLedger(ledger);
        vm.assertEq(settlement.ledgerOf(ledger).owner, node, "not yet");
        vm.prank(stranger);
        settlement.acceptLedger(ledger);
        vm.assertEq(settlement.ledgerOf(ledger).owner, stranger, "now");
        vm.prank(node);
        refuses(ILedgerBook.NotLedgerOwner.selector);
        settlement.setRoles(ledger, roles());
    }

    function test_aPauseEndsByItselfAndDoesNotComeBackAtOnce() public {
        refuses(bytes4(keccak256("OwnableUnauthorizedAccount(address)")));
        settlement.pause();
        vm.prank(governor);
        settlement.pause();
        vm.prank(governor);
        refuses(ILedgerBook.PausedTooRecently.selector);
        settlement.pause();
        pass(settlement.PAUSE_SECONDS());
        vm.assertTrue(!settlement.paused(), "over");
        vm.prank(governor);
        refuses(ILedgerBook.PausedTooRecently.selector);
        settlement.pause();
        pass(settlement.PAUSE_SECONDS());
        vm.prank(governor);
        settlement.pause();
        vm.prank(governor);
        settlement.unpause();
        vm.assertTrue(!settlement.paused(), "ended early");
    }

    function roles() private view returns (Roles memory) {
        return Roles(earner, proposer, attestor);
    }
}
