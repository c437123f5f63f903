// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Epoch, EpochCommitment, Progress} from "../../src/interfaces/IEpochSettlement.sol";
import {PayerAccount} from "../../src/interfaces/IPayerEscrow.sol";
import {SettlementTree} from "../../src/libraries/SettlementTree.sol";
import {Trees} from "./Trees.sol";
import {World} from "./World.sol";

/// @dev Many hands at two ledgers at once: payers, payees, relayers, challengers, and proposers that commit whatever they
/// like. Every action either does what it says or is one that must be possible; `tally` counts what each has moved.
contract Crowd is World {
    uint256 public constant PAYEES = 4;
    uint256 public constant PAYERS = 3;
    uint256 private constant BASE = 0x1000;

    bytes32[2] public books;
    mapping(bytes32 book => uint256) public deposited;
    mapping(bytes32 book => uint256) public withdrawn;
    mapping(bytes32 book => uint256) public paid;
    mapping(string action => uint256) public tally;
    uint256 public faults;

    mapping(bytes32 book => mapping(uint64 epoch => uint128[])) private _payouts;
    mapping(bytes32 book => mapping(uint64 epoch => uint128[])) private _debits;

    constructor() {
        setUp();
        books = [ledger, otherLedger];
        for (uint256 i; i < PAYERS; ++i) {
            fund(payerAt(i), 1_000_000e18);
        }
    }

    function depositSome(uint256 which, uint256 who, uint256 nano) external {
        bytes32 book = books[which % 2];
        nano = bound(nano, 1, 500);
        deposit(book, payerAt(who), nano);
        deposited[book] += nano * NANO;
        ++tally["deposit"];
    }

    /// @dev A commitment within the totals' rules whose trees say anything at all.
    function proposeAnything(uint256 which, uint256 seed) external {
        bytes32 book = books[which % 2];
        EpochCommitment memory c = oneToOne(book, 0, 0, address(1), 0);
        Epoch memory before = settlement.epochOf(book, settlement.progressOf(book).live);
        c.debits = before.debits + uint128(seed % 200);
        c.credits = before.credits + uint128((seed >> 8) % (c.debits - before.credits + 1));
        _payouts[book][c.epoch] = draws(PAYEES, seed >> 16, c.credits + 50);
        _debits[book][c.epoch] = draws(PAYERS, seed >> 32, c.debits + 50);
        (c.payoutRoot, c.payoutCount) = (Trees.root(payoutLeaves(book, c.epoch)), uint64(PAYEES));
        (c.debitRoot, c.debitCount) = (Trees.root(debitLeaves(book, c.epoch)), uint64(PAYERS));
        if (settlement.bondOf(book, proposer).amount < BOND) {
            open.approve(address(settlement), BOND);
            settlement.postBond(book, proposer, BOND);
        }
        propose(c);
        ++tally["propose"];
    }

    function finaliseNext(uint256 which) external {
        bytes32 book = books[which % 2];
        Progress memory progress = settlement.progressOf(book);
        for (uint64 epoch = progress.latestFinal + 1; epoch <= progress.live; ++epoch) {
            if (settlement.epochOf(book, epoch).status != 1) continue;
            pass(periods().windowSeconds);
            uint256 debits = uint256(settlement.epochOf(book, epoch).debits) * NANO;
            bool isSolvent = debits <= escrow.netDeposits(book);
            try settlement.finalise(book, epoch) {
                if (!isSolvent) ++faults;
                ++tally["finalise"];
            } catch {
                if (isSolvent) ++faults;
                ++tally["insolvent"];
            }
            return;
        }
    }

    function voidSome(uint256 which, uint256 back) external {
        bytes32 book = books[which % 2];
        Progress memory progress = settlement.progressOf(book);
        uint64 epoch = progress.live - uint64(back % 3 > progress.live ? 0 : back % 3);
        if (settlement.epochOf(book, epoch).status != 1 || settlement.bondOf(book, proposer).amount == 0) return;
        settlement.void(book, epoch, stranger);
        ++tally["void"];
    }

    /// @dev A claim on any final epoch either pays exactly what is new in it, or refuses because nothing is or the cap is hit.
    function claimAny(uint256 which, uint256 whichEpoch, uint256 index) external {
        bytes32 book = books[which % 2];
        uint64 epoch = uint64(bound(whichEpoch, 0, settlement.progressOf(book).proposed));
        index %= PAYEES;
        if (_payouts[book][epoch].length == 0) return;
        address payee = payeeAt(index);
        uint128 cumulative = _payouts[book][epoch][index];
        bytes32[] memory path = Trees.path(payoutLeaves(book, epoch), index);
        uint256 claimedBefore = settlement.claimed(book, idOf(payee));
        uint256 before = open.balanceOf(payee);
        vm.prank(stranger);
        try settlement.claimFor(book, epoch, uint64(index), idOf(payee), cumulative, path) returns (uint128 amount) {
            if (settlement.epochOf(book, epoch).status != 2) ++faults;
            if (amount == 0 || claimedBefore + amount != cumulative) ++faults;
            if (open.balanceOf(payee) - before != amount * NANO) ++faults;
            paid[book] += amount * NANO;
            ++tally["claim"];
        } catch {
            if (open.balanceOf(payee) != before) ++faults;
            ++tally["claim refused"];
        }
    }

    function requestSome(uint256 which, uint256 who, uint256 share) external {
        bytes32 book = books[which % 2];
        PayerAccount memory account = escrow.accountOf(book, payerAt(who));
        uint256 balance = (account.deposited - account.withdrawn) / NANO;
        if (balance == 0) return;
        vm.prank(payerAt(who));
        escrow.requestWithdrawal(book, bound(share, 1, balance) * NANO);
        ++tally["request"];
    }

    function withdrawSome(uint256 which, uint256 who, bool isUnproven) external {
        bytes32 book = books[which % 2];
        who %= PAYERS;
        address account = payerAt(who);
        if (escrow.withdrawalOf(book, account).amount == 0) return;
        pass(periods().thawSeconds + (isUnproven ? escrow.EXIT_SECONDS() : 0));
        uint256 before = open.balanceOf(account);
        if (isUnproven) {
            vm.prank(account);
            try escrow.withdrawUnproven(book) {} catch {}
        } else {
            try escrow.withdraw(book, account, debitProof(book, who)) {} catch {}
        }
        uint256 amount = open.balanceOf(account) - before;
        withdrawn[book] += amount;
        ++tally[amount == 0 ? "withdraw nothing" : "withdraw"];
    }

    function payeeAt(uint256 index) public pure returns (address) {
        return address(uint160(BASE + 10 * (index + 1)));
    }

    function payerAt(uint256 index) public pure returns (address) {
        return address(uint160(2 * BASE + 10 * (index % PAYERS + 1)));
    }

    function leafOf(bytes32 book, uint64 epoch, uint256 index) external view returns (uint128) {
        return _payouts[book][epoch].length == 0 ? 0 : _payouts[book][epoch][index];
    }

    function debitProof(bytes32 book, uint256 who) private view returns (SettlementTree.DebitLeaf[] memory leaves) {
        uint64 epoch = settlement.progressOf(book).latestFinal;
        leaves = new SettlementTree.DebitLeaf[](epoch == 0 ? 0 : 1);
        if (epoch == 0) return leaves;
        bytes32[] memory path = Trees.path(debitLeaves(book, epoch), who);
        leaves[0] = SettlementTree.DebitLeaf(uint64(who), idOf(payerAt(who)), _debits[book][epoch][who], path);
    }

    function payoutLeaves(bytes32 book, uint64 epoch) private view returns (bytes32[] memory) {
        bytes32[] memory ids = new bytes32[](PAYEES);
        for (uint256 i; i < PAYEES; ++i) {
            ids[i] = idOf(payeeAt(i));
        }
        return Trees.leaves(ids, _payouts[book][epoch]);
    }

    function debitLeaves(bytes32 book, uint64 epoch) private view returns (bytes32[] memory) {
        bytes32[] memory ids = new bytes32[](PAYERS);
        for (uint256 i; i < PAYERS; ++i) {
            ids[i] = idOf(payerAt(i));
        }
        return Trees.leaves(ids, _debits[book][epoch]);
    }

    function draws(uint256 count, uint256 seed, uint256 most) private pure returns (uint128[] memory amounts) {
        amounts = new uint128[](count);
        // Often small shares of what there is, now and then all of it: so claims succeed, and caps are hit too.
        for (uint256 i; i < count; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(seed, i)));
            amounts[i] = uint128((draw >> 8) % (draw % 4 == 0 ? most : most / 4 + 1));
        }
    }

    function contracts() external view returns (address, address, address) {
        return (address(open), address(settlement), address(escrow));
    }
}
