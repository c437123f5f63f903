// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochCommitment} from "../src/interfaces/IEpochSettlement.sol";
import {SettlementTree} from "../src/libraries/SettlementTree.sol";
import {World} from "./support/World.sol";

/// @dev What the calls that recur cost, each as a transaction of its own: base fee, calldata and cold storage included.
/// forge compares the figures with contracts/snapshots/gas.json.
/// forge-config: default.isolate = true
contract GasTest is World {
    uint256 private constant DEPTH = 20;
    uint64 private constant LEAVES = uint64(1 << DEPTH);
    uint64 private constant INDEX = 0xA5A5A;

    function test_claimAtDepthTwenty() public {
        deposit(ledger, payer, 1_000);
        settleDeep(10);
        settleDeep(25);
        settlement.claimFor(ledger, 1, INDEX, idOf(earner), 10, siblings());
        vm.snapshotGasLastCall("gas", "claim at depth 20, first");
        settlement.claimFor(ledger, 2, INDEX, idOf(earner), 25, siblings());
        vm.snapshotGasLastCall("gas", "claim at depth 20, repeated");
    }

    function test_proposeFinaliseDepositWithdraw() public {
        deposit(ledger, payer, 1_000);
        vm.prank(payer);
        escrow.deposit(ledger, payer, NANO);
        vm.snapshotGasLastCall("gas", "deposit, repeated");
        settleDeep(10);
        EpochCommitment memory c = deep(20);
        bytes memory signature = signed(c);
        vm.prank(proposer);
        settlement.propose(c, signature);
        vm.snapshotGasLastCall("gas", "propose");
        pass(periods().windowSeconds);
        settlement.finalise(ledger, 2);
        vm.snapshotGasLastCall("gas", "finalise");
        vm.prank(payer);
        escrow.requestWithdrawal(ledger, 100 * NANO);
        vm.snapshotGasLastCall("gas", "request withdrawal");
        pass(periods().thawSeconds);
        SettlementTree.DebitLeaf[] memory leaves = new SettlementTree.DebitLeaf[](1);
        leaves[0] = SettlementTree.DebitLeaf(INDEX, idOf(payer), 20, siblings());
        escrow.withdraw(ledger, payer, leaves);
        vm.snapshotGasLastCall("gas", "withdraw at depth 20");
    }

    function settleDeep(uint128 nano) private {
        settle(deep(nano));
    }

    function deep(uint128 nano) private view returns (EpochCommitment memory c) {
        c = oneToOne(ledger, idOf(earner), nano, payer, nano);
        c.payoutRoot = rise(SettlementTree.payoutLeaf(INDEX, idOf(earner), nano));
        c.debitRoot = rise(SettlementTree.debitLeaf(INDEX, idOf(payer), nano));
        (c.payoutCount, c.debitCount) = (LEAVES, LEAVES);
    }

    function rise(bytes32 node) private pure returns (bytes32) {
        bytes32[] memory path = siblings();
        for (uint256 i; i < DEPTH; ++i) {
            node = INDEX >> i & 1 == 0 ? keccak256(bytes.concat(node, path[i])) : keccak256(bytes.concat(path[i], node));
        }
        return node;
    }

    function siblings() private pure returns (bytes32[] memory path) {
        path = new bytes32[](DEPTH);
        for (uint256 i; i < DEPTH; ++i) {
            path[i] = keccak256(abi.encode(i));
        }
    }
}
