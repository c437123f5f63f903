// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Member, RelayTerms} from "../src/interfaces/IClaimRelay.sol";
import {RelayWorld} from "./support/RelayWorld.sol";
import {Test} from "./support/Test.sol";

/// @dev Payees that agree, withdraw, claim alone and take their allowance back, and a relayer that states what it likes.
contract RelayCrowd is RelayWorld {
    mapping(uint256 who => uint256) public owedMost;
    mapping(uint256 who => uint256) public feeMost;
    mapping(uint256 who => uint256) public fees;
    mapping(string action => uint256) public tally;
    uint256 public faults;
    uint64 private _epoch;

    constructor() {
        setUp();
    }

    function settleMore(uint256 seed) external {
        uint128[] memory amounts = new uint128[](PAYEES);
        for (uint256 i; i < PAYEES; ++i) {
            uint256 more = uint256(keccak256(abi.encode(seed, i))) % (seed % 3 == 0 ? 100 : 1e9);
            amounts[i] = uint128(owedMost[i] + more);
            owedMost[i] = amounts[i];
        }
        _epoch = settleAll(amounts);
        ++tally["settle"];
    }

    function agreeSome(uint256 who, uint16 bps) external {
        who %= PAYEES;
        RelayTerms memory agreed = terms();
        agreed.feeBpsMax = bps % 201;
        relay.consentFor(accountOf(who), consentOf(who, agreed));
        ++tally["agree"];
    }

    function withdrawSome(uint256 who) external {
        vm.prank(accountOf(who % PAYEES));
        relay.withdraw();
        ++tally["withdraw"];
    }

    function disallowSome(uint256 who, uint128 most) external {
        vm.prank(accountOf(who % PAYEES));
        open.approve(address(relay), most);
        ++tally["disallow"];
    }

    function claimAlone(uint256 who) external {
        who %= PAYEES;
        if (_epoch == 0 || settlement.claimed(ledger, payeeAt(who)) == owedMost[who]) return;
        Member memory own = memberOf(_epoch, who);
        vm.prank(accountOf(who));
        settlement.claim(ledger, _epoch, own.index, own.payee, own.cumulative, own.proof);
        ++tally["claim"];
    }

    function relayAll(uint256 seed, uint48 rate, uint64 gasPrice) external {
        if (_epoch == 0) return;
        Member[] memory members = batchOf(_epoch);
        if (seed % 5 == 0) members[seed % PAYEES].cumulative += 1;
        if (seed % 3 == 0) members[(seed >> 16) % PAYEES].isFree = true;
        if (seed % 7 == 0) members[(seed >> 8) % PAYEES] = members[0];
        uint256[PAYEES] memory before;
        for (uint256 i; i < PAYEES; ++i) {
            before[i] = settlement.claimed(ledger, payeeAt(i));
        }
        vm.txGasPrice(gasPrice % 1_000 gwei);
        vm.prank(seed % 11 == 0 ? stranger : relayer);
        uint256 relayed = relay.relay(ledger, _epoch, rate % RATE, members);
        for (uint256 i; i < PAYEES; ++i) {
            uint256 amount = settlement.claimed(ledger, payeeAt(i)) - before[i];
            if (amount == 0) continue;
            --relayed;
            RelayTerms memory agreed = relay.termsOf(accountOf(i));
            if (members[i].isFree) agreed.feeBpsMax = 0;
            else if (agreed.relayer != relayer || seed % 11 == 0) ++faults;
            feeMost[i] += amount * agreed.feeBpsMax / 10_000 * NANO;
            uint256 fee = uint256(settlement.claimed(ledger, payeeAt(i))) * NANO - fees[i] - open.balanceOf(accountOf(i));
            fees[i] += fee;
            ++tally[fee == 0 ? "relayed free" : "relayed"];
        }
        if (relayed != 0) ++faults;
        ++tally["batch"];
    }

    function sums() external view returns (uint256 held, uint256 claimed, uint256 taken, uint256 most) {
        for (uint256 i; i < PAYEES; ++i) {
            held += open.balanceOf(accountOf(i));
            claimed += uint256(settlement.claimed(ledger, payeeAt(i))) * NANO;
            taken += fees[i];
            most += feeMost[i];
        }
    }

    function balances() external view returns (uint256 ofRelay, uint256 ofRelayer, uint256 ofStranger) {
        return (open.balanceOf(address(relay)), open.balanceOf(relayer), open.balanceOf(stranger));
    }

    function payees() external pure returns (uint256) {
        return PAYEES;
    }
}

/// forge-config: default.invariant.runs = 12
contract ClaimRelayInvariants is Test {
    RelayCrowd private crowd;

    function setUp() public {
        crowd = new RelayCrowd();
        target(address(crowd));
    }

    function targetSelectors() external view returns (FuzzSelector[] memory selected) {
        bytes4[] memory actions = new bytes4[](6);
        actions[0] = RelayCrowd.settleMore.selector;
        actions[1] = RelayCrowd.agreeSome.selector;
        actions[2] = RelayCrowd.withdrawSome.selector;
        actions[3] = RelayCrowd.disallowSome.selector;
        actions[4] = RelayCrowd.claimAlone.selector;
        actions[5] = RelayCrowd.relayAll.selector;
        selected = new FuzzSelector[](1);
        selected[0] = FuzzSelector(address(crowd), actions);
    }

    function invariant_onlyWhoAgreedIsRelayedAndOnlyByWhomItNamed() external view {
        vm.assertEq(crowd.faults(), 0, "faults");
    }

    function invariant_payeesHaveWhatWasClaimedLessTheirFees() external view {
        (uint256 held, uint256 claimed, uint256 taken,) = crowd.sums();
        (uint256 ofRelay, uint256 ofRelayer, uint256 ofStranger) = crowd.balances();
        vm.assertEq(held + taken, claimed, "what was claimed");
        vm.assertEq(ofRelayer, taken, "fees go to the relayer");
        vm.assertEq(ofRelay + ofStranger, 0, "and to nobody else");
    }

    function invariant_noFeeExceedsItsTerms() external view {
        for (uint256 i; i < crowd.payees(); ++i) {
            vm.assertLe(crowd.fees(i), crowd.feeMost(i), "within the terms");
        }
    }

    /// @dev The crowd of one fixed history does everything: the invariants are not vacuous.
    function test_theCrowdDoesEverything() external {
        for (uint256 i; i < 200; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(i)));
            if (draw % 8 == 0) crowd.settleMore(draw >> 8);
            if (draw % 8 == 1 || draw % 8 == 2) crowd.agreeSome(draw >> 8, uint16(draw >> 16));
            if (draw % 64 == 3) crowd.withdrawSome(draw >> 8);
            if (draw % 64 == 11) crowd.disallowSome(draw >> 8, uint128(draw >> 16));
            if (draw % 8 == 4) crowd.claimAlone(draw >> 8);
            if (draw % 8 > 4) crowd.relayAll(draw >> 8, uint48(draw >> 64), uint64(draw >> 128));
        }
        string[8] memory actions =
            ["settle", "agree", "withdraw", "disallow", "claim", "relayed", "relayed free", "batch"];
        for (uint256 i; i < actions.length; ++i) {
            vm.assertTrue(crowd.tally(actions[i]) != 0, actions[i]);
        }
    }
}
