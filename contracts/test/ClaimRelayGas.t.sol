// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Member, RelayCost, RelayTerms} from "../src/interfaces/IClaimRelay.sol";
import {EpochCommitment} from "../src/interfaces/IEpochSettlement.sol";
import {RelayWorld} from "./support/RelayWorld.sol";
import {Vm} from "./support/Test.sol";
import {Trees} from "./support/Trees.sol";

/// @dev What relayed claims cost, as transactions of their own, and that fees never come to more than the transaction did.
/// forge compares the figures with contracts/snapshots/gas.json, which has a claim without a relay beside them.
/// forge-config: default.isolate = true
contract ClaimRelayGasTest is RelayWorld {
    uint256 private constant CROWD = 128;
    uint256 private constant CROWD_DEPTH = 7;
    uint256 private constant DEPTH = 20;
    uint256 private constant BASE = 0xA5A00;
    uint256 private constant GAS_PRICE = 1 gwei;
    bytes32 private constant RELAYED = keccak256(
        "Relayed(bytes32,bytes32,address,address,uint128,uint128,(uint256,uint256,uint48))"
    );

    /// @dev Of what was spent, fees ask back no more than all, and no less than this.
    uint256 private constant REPAID_BPS = 9_000;

    function setUp() public override {
        super.setUp();
        vm.txGasPrice(GAS_PRICE);
        open.transfer(relayer, NANO);
    }

    function test_firstClaimWithItsConsent() public {
        settleDeep(1e12);
        Member[] memory members = deepBatch(0, 1, 1e12);
        members[0].consent = abi.encode(accountOf(0), consentOf(0, terms()));
        check(members, "relayed claim at depth 20, first, alone, with its consent");
    }

    function test_claimsAlone() public {
        agreeAll(1);
        settleDeep(1e12);
        Member[] memory members = deepBatch(0, 1, 1e12);
        check(members, "relayed claim at depth 20, first, alone");
        settleDeep(2e12);
        members = deepBatch(0, 1, 2e12);
        check(members, "relayed claim at depth 20, repeated, alone");
    }

    function test_tenClaims() public {
        batches(10, "relayed claims at depth 20, first, ten", "relayed claims at depth 20, repeated, ten");
    }

    function test_tenFreeClaims() public {
        freeBatches(10, "relayed for nothing at depth 20, first, ten", "relayed for nothing at depth 20, repeated, ten");
    }

    function test_hundredFreeClaims() public {
        freeBatches(
            100, "relayed for nothing at depth 20, first, hundred", "relayed for nothing at depth 20, repeated, hundred"
        );
    }

    function test_hundredClaims() public {
        batches(100, "relayed claims at depth 20, first, hundred", "relayed claims at depth 20, repeated, hundred");
    }

    function test_tenClaimsWithTheirConsents() public {
        settleDeep(1e12);
        Member[] memory members = deepBatch(0, 10, 1e12);
        for (uint256 i; i < members.length; ++i) {
            members[i].consent = abi.encode(accountOf(i), consentOf(i, terms()));
        }
        check(members, "relayed claims at depth 20, first, ten, with their consents");
    }

    function testFuzz_feesAskBackNoMoreThanWasSpentWhateverTheBatch(uint256 seed) public {
        uint256 count = 1 + seed % PAYEES;
        uint128[] memory amounts = same(uint128(1e12 + (seed >> 8) % 1e12));
        settleAll(amounts);
        Member[] memory all = batchOf(settlement.progressOf(ledger).latestFinal);
        Member[] memory members = new Member[](count);
        for (uint256 i; i < count; ++i) {
            members[i] = all[i];
            if (seed >> (16 + i) & 1 == 0) members[i].consent = abi.encode(accountOf(i), consentOf(i, terms()));
            else if (seed >> (32 + i) & 1 == 0) agree(i);
        }
        uint256 reckoned = reckon(members);
        vm.assertLe(reckoned, vm.lastCallGas().gasTotalUsed, "no more than was spent");
    }

    function batches(uint256 count, string memory first, string memory repeated) private {
        agreeAll(count);
        settleDeep(1e12);
        Member[] memory members = deepBatch(0, count, 1e12);
        check(members, first);
        settleDeep(2e12);
        members = deepBatch(0, count, 2e12);
        check(members, repeated);
    }

    function freeBatches(uint256 count, string memory first, string memory repeated) private {
        settleDeep(1e12);
        check(free(deepBatch(0, count, 1e12)), first);
        settleDeep(2e12);
        check(free(deepBatch(0, count, 2e12)), repeated);
    }

    function free(Member[] memory members) private pure returns (Member[] memory) {
        for (uint256 i; i < members.length; ++i) {
            members[i].isFree = true;
        }
        return members;
    }

    function agreeAll(uint256 count) private {
        for (uint256 i; i < count; ++i) {
            agree(i);
        }
    }

    /// @dev Sends a batch, notes its gas, and holds the fees against it.
    function check(Member[] memory members, string memory name) private {
        uint256 reckoned = reckon(members);
        uint256 spent = vm.snapshotGasLastCall("gas", name);
        vm.assertLe(reckoned, spent, "fees ask back no more than was spent");
        vm.assertLe(spent * REPAID_BPS / 10_000, reckoned, "and nearly all of it");
    }

    /// @dev Sends a batch; the gas that its fees were reckoned from.
    function reckon(Member[] memory members) private returns (uint256 reckoned) {
        uint64 epoch = settlement.progressOf(ledger).latestFinal;
        vm.recordLogs();
        send(epoch, members);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] != RELAYED) continue;
            (, uint128 amount, uint128 fee, RelayCost memory cost) =
                abi.decode(logs[i].data, (address, uint128, uint128, RelayCost));
            if (!members[0].isFree) vm.assertEq(fee, cost.gasUsed * cost.gasPrice * cost.rate / 1e15, "at cost");
            else vm.assertEq(fee, 0, "for nothing");
            vm.assertLe(fee * 50, amount, "within 2 %");
            reckoned += cost.gasUsed;
        }
    }

    /// @dev An epoch whose tree has 2^20 leaves, of which a crowd's stand side by side.
    function settleDeep(uint128 nano) private {
        EpochCommitment memory c = oneToOne(ledger, 0, nano * uint128(CROWD), payer, nano * uint128(CROWD));
        bytes32 node = Trees.root(crowdLeaves(nano));
        for (uint256 i = CROWD_DEPTH; i < DEPTH; ++i) {
            node = BASE >> i & 1 == 0
                ? keccak256(bytes.concat(node, sibling(i)))
                : keccak256(bytes.concat(sibling(i), node));
        }
        (c.payoutRoot, c.payoutCount) = (node, uint64(1 << DEPTH));
        settle(c);
    }

    function deepBatch(uint256 from, uint256 count, uint128 nano) private pure returns (Member[] memory members) {
        members = new Member[](count);
        bytes32[] memory leaves = crowdLeaves(nano);
        for (uint256 i; i < count; ++i) {
            bytes32[] memory low = Trees.path(leaves, from + i);
            bytes32[] memory path = new bytes32[](DEPTH);
            for (uint256 level; level < DEPTH; ++level) {
                path[level] = level < CROWD_DEPTH ? low[level] : sibling(level);
            }
            members[i] = Member(idOf(accountOf(from + i)), uint64(BASE + from + i), nano, path, false, "");
        }
    }

    function crowdLeaves(uint128 nano) private pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](CROWD);
        for (uint256 i; i < CROWD; ++i) {
            hashes[i] = keccak256(bytes.concat(bytes8(uint64(BASE + i)), idOf(accountOf(i)), bytes16(nano)));
        }
    }

    function sibling(uint256 level) private pure returns (bytes32) {
        return keccak256(abi.encode(level));
    }
}
