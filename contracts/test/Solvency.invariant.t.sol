// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochSettlement} from "../src/EpochSettlement.sol";
import {Progress} from "../src/interfaces/IEpochSettlement.sol";
import {Epoch} from "../src/interfaces/IEpochSettlement.sol";
import {Purse} from "../src/interfaces/IPayerEscrow.sol";
import {OpenToken} from "../src/OpenToken.sol";
import {PayerEscrow} from "../src/PayerEscrow.sol";
import {Crowd} from "./support/Crowd.sol";
import {Test} from "./support/Test.sol";

contract SolvencyInvariants is Test {
    uint256 private constant NANO = 1e9;

    Crowd private crowd;
    OpenToken private open;
    EpochSettlement private settlement;
    PayerEscrow private escrow;

    function setUp() public {
        crowd = new Crowd();
        (address token, address epochs, address purses) = crowd.contracts();
        (open, settlement, escrow) = (OpenToken(token), EpochSettlement(epochs), PayerEscrow(purses));
        target(address(crowd));
    }

    function targetSelectors() external view returns (FuzzSelector[] memory selected) {
        bytes4[] memory actions = new bytes4[](7);
        actions[0] = Crowd.depositSome.selector;
        actions[1] = Crowd.proposeAnything.selector;
        actions[2] = Crowd.finaliseNext.selector;
        actions[3] = Crowd.voidSome.selector;
        actions[4] = Crowd.claimAny.selector;
        actions[5] = Crowd.requestSome.selector;
        actions[6] = Crowd.withdrawSome.selector;
        selected = new FuzzSelector[](1);
        selected[0] = FuzzSelector(address(crowd), actions);
    }

    function invariant_everyActionDidExactlyWhatItSays() external view {
        vm.assertEq(crowd.faults(), 0, "faults");
    }

    function invariant_theEscrowHoldsWhatItsPursesSay() external view {
        uint256 held;
        for (uint256 i; i < 2; ++i) {
            Purse memory purse = escrow.purseOf(crowd.books(i));
            held += uint256(purse.deposited) - purse.withdrawn - purse.paid;
        }
        vm.assertEq(open.balanceOf(address(escrow)), held, "balance");
    }

    function invariant_noLedgerTouchesAnothersMoney() external view {
        for (uint256 i; i < 2; ++i) {
            bytes32 book = crowd.books(i);
            Purse memory purse = escrow.purseOf(book);
            vm.assertEq(purse.deposited, crowd.deposited(book), "what came to this ledger");
            vm.assertEq(purse.withdrawn, crowd.withdrawn(book), "what its payers took back");
            vm.assertEq(purse.paid, crowd.paid(book), "what its payees claimed");
        }
    }

    function invariant_finalisedCreditsAndWhatCanBeWithdrawnAreBothThere() external view {
        for (uint256 i; i < 2; ++i) {
            bytes32 book = crowd.books(i);
            Purse memory purse = escrow.purseOf(book);
            Epoch memory last = settlement.epochOf(book, settlement.progressOf(book).latestFinal);
            uint256 net = uint256(purse.deposited) - purse.withdrawn;
            vm.assertLe(purse.paid, last.credits * NANO, "claims within credits");
            vm.assertLe(last.credits, last.debits, "credits within debits");
            vm.assertLe(last.debits * NANO, net, "debits within deposits minus withdrawals");
            uint256 unclaimed = last.credits * NANO - purse.paid;
            uint256 withdrawable = net - last.debits * NANO;
            vm.assertLe(unclaimed + withdrawable, net - purse.paid, "both at once");
        }
    }

    function invariant_claimsAddUpAndNoneExceedsALeafOfAFinalEpoch() external view {
        for (uint256 i; i < 2; ++i) {
            bytes32 book = crowd.books(i);
            uint64 proposed = settlement.progressOf(book).proposed;
            uint256 sum;
            for (uint256 index; index < crowd.PAYEES(); ++index) {
                uint128 claimed = settlement.claimed(book, bytes32(uint256(uint160(crowd.payeeAt(index)))));
                uint128 most;
                for (uint64 epoch = 1; epoch <= proposed; ++epoch) {
                    uint128 leaf = crowd.leafOf(book, epoch, index);
                    if (settlement.epochOf(book, epoch).status == 2 && leaf > most) most = leaf;
                }
                vm.assertLe(claimed, most, "no more than a final leaf");
                sum += claimed * NANO;
            }
            vm.assertEq(sum, escrow.purseOf(book).paid, "the sum");
        }
    }

    function invariant_progressCountsWhatIsPending() external view {
        for (uint256 i; i < 2; ++i) {
            bytes32 book = crowd.books(i);
            Progress memory progress = settlement.progressOf(book);
            uint256 pending;
            for (uint64 epoch = 1; epoch <= progress.proposed; ++epoch) {
                if (settlement.epochOf(book, epoch).status == 1) ++pending;
            }
            vm.assertEq(progress.pending, pending, "pending");
            vm.assertTrue(settlement.epochOf(book, progress.live).status != 3, "nothing builds on a voided epoch");
        }
    }

    function invariant_bondsAreApartFromDeposits() external view {
        uint256 bonds;
        for (uint256 i; i < 2; ++i) {
            bonds += settlement.bondOf(crowd.books(i), address(0x9809)).amount;
        }
        vm.assertEq(open.balanceOf(address(settlement)), bonds, "the bonds");
    }

    /// @dev The crowd of one fixed history does everything, refusals included: the invariants are not vacuous.
    function test_theCrowdDoesEverything() external {
        for (uint256 i; i < 400; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(i)));
            uint256 which = draw >> 8;
            uint256 a = draw >> 16;
            if (draw % 7 == 0) crowd.depositSome(which, a, draw >> 32);
            if (draw % 7 == 1) crowd.proposeAnything(which, a);
            if (draw % 7 == 2) crowd.finaliseNext(which);
            if (draw % 7 == 3 && draw % 3 == 0) crowd.voidSome(which, a);
            if (draw % 7 == 4) crowd.claimAny(which, a, draw >> 32);
            if (draw % 7 == 5) crowd.requestSome(which, a, draw >> 32);
            if (draw % 7 == 6) crowd.withdrawSome(which, a, draw % 2 == 0);
        }
        string[11] memory actions = [
            "deposit",
            "propose",
            "finalise",
            "insolvent",
            "void",
            "claim",
            "claim refused",
            "request",
            "withdraw",
            "withdraw nothing",
            "deposit"
        ];
        for (uint256 i; i < actions.length; ++i) {
            vm.assertTrue(crowd.tally(actions[i]) != 0, actions[i]);
        }
    }
}
