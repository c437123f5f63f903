// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IClaimRelay, Member, RelayCost, RelayTerms, SignedTerms} from "../src/interfaces/IClaimRelay.sol";
import {EpochCommitment, IEpochSettlement} from "../src/interfaces/IEpochSettlement.sol";
import {RelayWorld} from "./support/RelayWorld.sol";

contract ClaimRelayTest is RelayWorld {
    function setUp() public override {
        super.setUp();
        vm.txGasPrice(0.01 gwei);
    }

    function test_everyPayoutGoesToItsPayeeAndRepaysItsGas() public {
        for (uint256 i; i < PAYEES; ++i) {
            agree(i);
        }
        uint64 epoch = settleAll(same(1e9));
        vm.assertEq(send(epoch, batchOf(epoch)), PAYEES, "all of them");
        uint256 fees;
        for (uint256 i; i < PAYEES; ++i) {
            uint256 fee = 1e9 * NANO - open.balanceOf(accountOf(i));
            vm.assertTrue(fee > 0 && fee <= 1e9 * NANO / 50, "within 2 %");
            vm.assertEq(fee % NANO, 0, "whole nano");
            fees += fee;
        }
        vm.assertEq(open.balanceOf(relayer), fees, "to the relayer, and nothing else");
        vm.assertEq(open.balanceOf(address(relay)), 0, "nothing stays");
    }

    function test_aPayoutTooSmallForItsGasPaysTwoPercentAtMost() public {
        agree(0);
        uint64 epoch = settleAll(same(1_000));
        send(epoch, one(memberOf(epoch, 0)));
        vm.assertEq(open.balanceOf(accountOf(0)), 980 * NANO, "2 % of it");
        agree(1);
        RelayTerms memory careful = terms();
        careful.feeBpsMax = 50;
        relay.consentFor(accountOf(1), consentOf(1, careful));
        send(epoch, one(memberOf(epoch, 1)));
        vm.assertEq(open.balanceOf(accountOf(1)), 995 * NANO, "half a percent of it");
    }

    function test_dustIsPaidWhole() public {
        agree(0);
        uint64 epoch = settleAll(same(49));
        send(epoch, one(memberOf(epoch, 0)));
        vm.assertEq(open.balanceOf(accountOf(0)), 49 * NANO, "2 % of it is less than a nano");
    }

    function test_whoeverClaimsAloneOrFirstPaysNothing() public {
        agree(0);
        agree(1);
        uint64 epoch = settleAll(same(1e9));
        Member memory first = memberOf(epoch, 0);
        vm.prank(stranger);
        settlement.claimFor(ledger, epoch, 0, first.payee, first.cumulative, first.proof);
        skips(first.payee, IEpochSettlement.NothingDue.selector);
        vm.assertEq(send(epoch, batchOf(epoch)), 1, "the other one, and none that has not agreed");
        vm.assertEq(open.balanceOf(accountOf(0)), 1e9 * NANO, "all of it");
    }

    function test_nobodyIsRelayedWithoutConsentOrByAnotherOrAfterItsEnd() public {
        uint64 epoch = settleAll(same(1e9));
        Member[] memory members = one(memberOf(epoch, 0));
        refusesMember(epoch, members, IClaimRelay.NoConsent.selector);
        agree(0);
        skips(members[0].payee, IClaimRelay.NoConsent.selector);
        vm.prank(stranger);
        vm.assertEq(relay.relay(ledger, epoch, RATE, members), 0, "another relayer");
        skips(members[0].payee, IClaimRelay.RateTooHigh.selector);
        vm.prank(relayer);
        vm.assertEq(relay.relay(ledger, epoch, RATE + 1, members), 0, "dearer than agreed");
        vm.prank(accountOf(0));
        relay.withdraw();
        refusesMember(epoch, members, IClaimRelay.NoConsent.selector);
        agree(0);
        pass(366 days);
        refusesMember(epoch, members, IClaimRelay.NoConsent.selector);
        vm.assertEq(open.balanceOf(accountOf(0)), 0, "nothing has moved");
    }

    function test_withoutAnAllowanceNothingIsClaimed() public {
        agree(0);
        vm.prank(accountOf(0));
        open.approve(address(relay), 1e6 * NANO);
        uint64 epoch = settleAll(same(1e9));
        refusesMember(epoch, one(memberOf(epoch, 0)), IClaimRelay.AllowanceTooSmall.selector);
        vm.prank(accountOf(0));
        open.approve(address(relay), 2e7 * NANO);
        vm.assertEq(send(epoch, one(memberOf(epoch, 0))), 1, "as much as the fee may be is enough");
    }

    function test_theFirstRelayRegistersTheConsentThatItCarries() public {
        uint64 epoch = settleAll(same(1e9));
        Member memory member = memberOf(epoch, 0);
        member.consent = abi.encode(accountOf(0), consentOf(0, terms()));
        vm.assertEq(send(epoch, one(member)), 1, "agreed and relayed");
        vm.assertEq(relay.termsOf(accountOf(0)).relayer, relayer, "and remembered");
        uint64 next = settleAll(same(2e9));
        Member memory again = memberOf(next, 0);
        again.consent = member.consent;
        vm.assertEq(send(next, one(again)), 1, "a used consent leaves the terms as they are");
    }

    function test_garbageInsteadOfAConsentHarmsItsMemberOnly() public {
        agree(1);
        uint64 epoch = settleAll(same(1e9));
        bytes[5] memory garbage = [
            bytes(hex"00"),
            abi.encode(accountOf(0)),
            abi.encode(accountOf(0), type(uint256).max, type(uint256).max),
            abi.encode(accountOf(2), consentOf(2, terms())),
            abi.encode(accountOf(0), signedTerms(keyOf(2), accountOf(0), terms(), 0))
        ];
        for (uint256 i; i < garbage.length; ++i) {
            Member memory bad = memberOf(epoch, 0);
            bad.consent = garbage[i];
            refusesMember(epoch, one(bad), IClaimRelay.NoConsent.selector);
        }
        Member[] memory members = batchOf(epoch);
        members[0].consent = garbage[2];
        vm.assertEq(send(epoch, members), 1, "the good one");
        vm.assertEq(relay.termsOf(accountOf(2)).relayer, address(0), "nobody is registered in another's place");
    }

    function test_badMembersAreLeftOutWithTheirReason() public {
        for (uint256 i; i < PAYEES; ++i) {
            agree(i);
        }
        uint64 epoch = settleAll(same(1e9));
        Member[] memory members = batchOf(epoch);
        members[0].cumulative += 1;
        members[1].index = 7;
        members[2].proof = none();
        members[3] = members[4];
        skips(members[0].payee, IEpochSettlement.InvalidProof.selector);
        vm.assertEq(send(epoch, members), 4, "the others");
        vm.assertEq(open.balanceOf(accountOf(3)), 0, "left out");
        vm.assertTrue(open.balanceOf(accountOf(4)) > 0, "once, though named twice");
        vm.assertEq(send(epoch, batchOf(epoch)), 4, "the rest, with their own proofs; nobody twice");
        vm.assertEq(send(epoch, batchOf(epoch)), 0, "and then nothing");
    }

    function test_onlyFinalEpochsAreRelayed() public {
        agree(0);
        EpochCommitment memory c = commitmentOf(same(1e9));
        refusesMember(c.epoch, one(memberOf(c.epoch, 0)), IEpochSettlement.NotFinal.selector);
        propose(c);
        refusesMember(c.epoch, one(memberOf(c.epoch, 0)), IEpochSettlement.NotFinal.selector);
        settlement.void(ledger, c.epoch, stranger);
        refusesMember(c.epoch, one(memberOf(c.epoch, 0)), IEpochSettlement.NotFinal.selector);
    }

    function test_whatIsFinalIsRelayedWhilePaused() public {
        agree(0);
        uint64 epoch = settleAll(same(1e9));
        vm.prank(governor);
        settlement.pause();
        vm.assertEq(send(epoch, one(memberOf(epoch, 0))), 1, "paused");
    }

    function test_consentsAreBoundToAccountTermsNonceAndContract() public {
        RelayTerms memory agreed = terms();
        SignedTerms memory signed = consentOf(0, agreed);
        refuses(IClaimRelay.InvalidConsent.selector);
        relay.consentFor(accountOf(1), signed);
        signed.terms.feeBpsMax = 100;
        refuses(IClaimRelay.InvalidConsent.selector);
        relay.consentFor(accountOf(0), signed);
        signed = signedTerms(keyOf(0), accountOf(0), agreed, 1);
        refuses(IClaimRelay.InvalidConsent.selector);
        relay.consentFor(accountOf(0), signed);
        signed = consentOf(0, agreed);
        signed.signature = hex"";
        refuses(IClaimRelay.InvalidConsent.selector);
        relay.consentFor(accountOf(0), signed);
        refuses(IClaimRelay.InvalidConsent.selector);
        relay.consentFor(address(0), signed);
        signed = consentOf(0, agreed);
        vm.expectEmit(address(relay));
        emit IClaimRelay.Consented(accountOf(0), agreed, 0);
        relay.consentFor(accountOf(0), signed);
        signed = signedTerms(keyOf(0), accountOf(0), agreed, 0);
        refuses(IClaimRelay.InvalidConsent.selector);
        relay.consentFor(accountOf(0), signed);
    }

    function test_withdrawingVoidsWhatWasSignedBefore() public {
        SignedTerms memory signed = consentOf(0, terms());
        vm.prank(accountOf(0));
        relay.withdraw();
        refuses(IClaimRelay.InvalidConsent.selector);
        relay.consentFor(accountOf(0), signed);
    }

    function test_termsAboveTwoPercentOrOverAreRefused() public {
        RelayTerms memory agreed = terms();
        agreed.feeBpsMax = 201;
        refuses(IClaimRelay.FeeTooHigh.selector);
        relay.consent(agreed);
        agreed = terms();
        agreed.until = uint32(block.timestamp);
        refuses(IClaimRelay.AlreadyOver.selector);
        relay.consent(agreed);
    }

    function test_aContractConsentsByItself() public {
        uint64 epoch = settleAll(same(1e9));
        vm.prank(accountOf(0));
        relay.consent(terms());
        vm.prank(accountOf(0));
        open.approve(address(relay), type(uint256).max);
        vm.assertEq(send(epoch, one(memberOf(epoch, 0))), 1, "no signature");
    }

    function test_forNothingNoConsentIsNeededAndNothingIsTaken() public {
        agree(1);
        uint64 epoch = settleAll(same(1e9));
        Member[] memory members = batchOf(epoch);
        members[0].isFree = true;
        members[1].isFree = true;
        members[1].consent = abi.encode(accountOf(1), consentOf(1, terms()));
        vm.prank(stranger);
        vm.assertEq(relay.relay(ledger, epoch, RATE, members), 2, "anybody may, as at the settlement");
        vm.assertEq(open.balanceOf(accountOf(0)), 1e9 * NANO, "all of it");
        vm.assertEq(open.balanceOf(accountOf(1)), 1e9 * NANO, "of one who agreed, too");
        vm.assertEq(relay.nonces(accountOf(1)), 1, "and no consent is used up");
    }

    function test_anEmptyBatchIsNothing() public {
        vm.assertEq(send(1, new Member[](0)), 0, "nobody");
    }

    function testFuzz_theFeeIsNeverAboveCostNorTermsWhateverThePrices(
        uint128 nano,
        uint16 bps,
        uint48 rate,
        uint64 gasPrice
    ) public {
        RelayTerms memory agreed = RelayTerms(relayer, bps % 201, type(uint48).max, type(uint32).max);
        relay.consentFor(accountOf(0), consentOf(0, agreed));
        nano = uint128(bound(nano, 1, 1e13));
        uint64 epoch = settleAll(same(nano));
        vm.txGasPrice(gasPrice);
        vm.prank(relayer);
        vm.assertEq(relay.relay(ledger, epoch, rate, one(memberOf(epoch, 0))), 1, "relayed");
        uint256 fee = open.balanceOf(relayer) / NANO;
        vm.assertEq(open.balanceOf(accountOf(0)) + open.balanceOf(relayer), nano * NANO, "nothing is lost or made");
        vm.assertLe(fee * 10_000, uint256(nano) * agreed.feeBpsMax, "within the terms");
        vm.assertLe(fee * 1e15, uint256(400_000) * gasPrice * rate, "within the cost");
    }

    function refusesMember(uint64 epoch, Member[] memory members, bytes4 reason) private {
        skips(members[0].payee, reason);
        vm.assertEq(send(epoch, members), 0, "left out");
    }

    function skips(bytes32 payee, bytes4 reason) private {
        vm.expectEmit(address(relay));
        emit IClaimRelay.Skipped(ledger, payee, reason);
    }
}
