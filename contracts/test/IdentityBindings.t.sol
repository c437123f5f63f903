// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Binding, IdentityPreimage, IIdentityBindings} from "../src/interfaces/IIdentityBindings.sol";
import {IEpochSettlement} from "../src/interfaces/IEpochSettlement.sol";
import {Parent, Registration, Terms} from "../src/interfaces/IAssetRegistry.sol";
import {World} from "./support/World.sol";

contract IdentityBindingsTest is World {
    uint8 private constant BOUND = 1;
    uint8 private constant REFUSED = 2;
    uint8 private constant REDIRECTED = 3;
    uint8 private constant LEFT = 4;
    uint8 private constant EXPIRED = 5;

    address private curator = address(0xC0);
    bytes32 private datanet;
    bytes32 private payee;

    function setUp() public override {
        super.setUp();
        Registration memory registration;
        registration.contentRoot = "records";
        vm.prank(curator);
        datanet = registry.register(registration);
        payee = settlement.identityPayee(identity());
    }

    function test_theIdIsTheHashOfItsPackedPreimage() public view {
        bytes memory packed = bytes.concat(bytes8(uint64(31_337)), bytes20(address(registry)), datanet, bytes32("tag"));
        vm.assertEq(packed.length, 92, "8 + 20 + 32 + 32");
        vm.assertEq(payee, keccak256(packed), "the payee id");
    }

    function test_reservedMoneyIsPaidOnceTheNoticeHasRun() public {
        deposit(ledger, payer, 100);
        settle(oneToOne(ledger, payee, 40, payer, 40));
        // Not to the relayer, not to the datanet's owner, not to the node, before the identity is bound.
        address[3] memory hopefuls = [stranger, curator, node];
        for (uint256 i; i < 3; ++i) {
            vm.prank(hopefuls[i]);
            refuses(IEpochSettlement.NotEntitled.selector);
            settlement.claim(ledger, 1, 0, payee, 40, none());
        }
        refuses(IEpochSettlement.NotBound.selector);
        settlement.claimFor(ledger, 1, 0, payee, 40, none());

        notice(BOUND, earner);
        refuses(IEpochSettlement.NotBound.selector);
        settlement.claimFor(ledger, 1, 0, payee, 40, none());
        pass(periods().noticeSeconds - 1);
        refuses(IIdentityBindings.NoticeStillRuns.selector);
        settlement.finaliseBinding(ledger, payee, BOUND, earner);
        pass(1);
        settlement.finaliseBinding(ledger, payee, BOUND, earner);
        settlement.claimFor(ledger, 1, 0, payee, 40, none());
        vm.assertEq(open.balanceOf(earner), 40 * NANO, "the identity's account");
    }

    function test_aFinalBindingIsForEver() public {
        notice(BOUND, earner);
        pass(periods().noticeSeconds);
        settlement.finaliseBinding(ledger, payee, BOUND, earner);
        vm.prank(attestor);
        refuses(IIdentityBindings.AlreadyFinal.selector);
        settlement.noticeBinding(ledger, identity(), BOUND, stranger, "proof");
        vm.prank(curator);
        refuses(IIdentityBindings.AlreadyFinal.selector);
        settlement.contestBinding(ledger, payee, "reason");
        refuses(IIdentityBindings.AlreadyFinal.selector);
        settlement.finaliseBinding(ledger, payee, BOUND, earner);
    }

    function test_onlyTheLedgersAttestorGivesNotice() public {
        address[4] memory others = [node, proposer, curator, stranger];
        for (uint256 i; i < 4; ++i) {
            vm.prank(others[i]);
            refuses(IIdentityBindings.NotAttestor.selector);
            settlement.noticeBinding(ledger, identity(), BOUND, others[i], "proof");
        }
    }

    function test_aBindingReachesNoOtherLedgersMoney() public {
        deposit(otherLedger, otherPayer, 100);
        settle(oneToOne(otherLedger, payee, 40, otherPayer, 40));
        notice(BOUND, stranger);
        pass(periods().noticeSeconds);
        settlement.finaliseBinding(ledger, payee, BOUND, stranger);
        refuses(IEpochSettlement.NotBound.selector);
        settlement.claimFor(otherLedger, 1, 0, payee, 40, none());
    }

    function test_datanetOwnerLedgerOwnerAndAttestorMayContest() public {
        address[3] memory parties = [curator, node, attestor];
        for (uint256 i; i < 3; ++i) {
            notice(BOUND, stranger);
            vm.prank(parties[i]);
            settlement.contestBinding(ledger, payee, "not theirs");
            pass(periods().noticeSeconds);
            refuses(IIdentityBindings.NothingNoticed.selector);
            settlement.finaliseBinding(ledger, payee, BOUND, stranger);
        }
        notice(BOUND, earner);
        vm.prank(otherNode);
        refuses(IIdentityBindings.NotParty.selector);
        settlement.contestBinding(ledger, payee, "not mine to say");
        vm.prank(curator);
        registry.transferFrom(curator, stranger, uint256(datanet));
        vm.prank(curator);
        refuses(IIdentityBindings.NotParty.selector);
        settlement.contestBinding(ledger, payee, "no longer mine");
    }

    function test_identitiesOfUnknownDatanetsHaveNoOwnerToContest() public {
        IdentityPreimage memory abroad = IdentityPreimage(1, address(0xABCD), datanet, "tag");
        IdentityPreimage memory unregistered = IdentityPreimage(31_337, address(registry), "nothing", "tag");
        vm.prank(attestor);
        bytes32 first = settlement.noticeBinding(ledger, abroad, BOUND, earner, "proof");
        vm.prank(attestor);
        bytes32 second = settlement.noticeBinding(ledger, unregistered, BOUND, earner, "proof");
        vm.prank(curator);
        refuses(IIdentityBindings.NotParty.selector);
        settlement.contestBinding(ledger, first, "reason");
        vm.prank(curator);
        refuses(IIdentityBindings.NotParty.selector);
        settlement.contestBinding(ledger, second, "reason");
        vm.prank(node);
        settlement.contestBinding(ledger, second, "the ledger's owner still may");
    }

    function test_anIdentityFromCreditIsContestedByItsDatanetsOwner() public {
        vm.prank(attestor);
        bytes32 kept = settlement.noticeBinding(
            ledger, IdentityPreimage(0, address(0), datanet, "tag"), BOUND, earner, "proof"
        );
        vm.assertEq(kept, keccak256(bytes.concat(new bytes(28), datanet, bytes32("tag"))), "the id that it always had");
        vm.prank(curator);
        settlement.contestBinding(ledger, kept, "not theirs");
    }

    function test_aSecondNoticeStartsOverAndCannotBeSlippedIn() public {
        notice(BOUND, earner);
        pass(periods().noticeSeconds);
        notice(BOUND, stranger);
        refuses(IIdentityBindings.NoticeChanged.selector);
        settlement.finaliseBinding(ledger, payee, BOUND, earner);
        refuses(IIdentityBindings.NoticeStillRuns.selector);
        settlement.finaliseBinding(ledger, payee, BOUND, stranger);
    }

    function test_refusalExpiryAndLeavingAreRecordedAndPayNobody() public {
        deposit(ledger, payer, 100);
        settle(oneToOne(ledger, payee, 40, payer, 40));
        notice(EXPIRED, address(0));
        pass(periods().noticeSeconds);
        refuses(IIdentityBindings.NoticeStillRuns.selector); // an expiry stands for longer
        settlement.finaliseBinding(ledger, payee, EXPIRED, address(0));
        notice(REFUSED, address(0));
        pass(periods().noticeSeconds);
        settlement.finaliseBinding(ledger, payee, REFUSED, address(0));
        refuses(IEpochSettlement.NotBound.selector);
        settlement.claimFor(ledger, 1, 0, payee, 40, none());
        Binding memory binding = settlement.bindingOf(ledger, payee);
        vm.assertTrue(binding.isFinal && binding.outcome == REFUSED, "on record");
    }

    function test_anExpiryGivesWayToAProof() public {
        notice(EXPIRED, address(0));
        pass(periods().expirySeconds);
        notice(BOUND, earner);
        refuses(IIdentityBindings.NoticeChanged.selector);
        settlement.finaliseBinding(ledger, payee, EXPIRED, address(0));
        pass(periods().noticeSeconds);
        settlement.finaliseBinding(ledger, payee, BOUND, earner);
        vm.assertEq(settlement.entitledTo(ledger, payee), earner, "bound");
    }

    function test_redirectionNamesAnAccountAndNothingElseMust() public {
        notice(REDIRECTED, stranger);
        vm.prank(attestor);
        refuses(IIdentityBindings.OutcomeNeedsAccount.selector);
        settlement.noticeBinding(ledger, identity(), BOUND, address(0), "proof");
        vm.prank(attestor);
        refuses(IIdentityBindings.OutcomeNeedsAccount.selector);
        settlement.noticeBinding(ledger, identity(), LEFT, stranger, "proof");
        vm.prank(attestor);
        refuses(IIdentityBindings.UnknownOutcome.selector);
        settlement.noticeBinding(ledger, identity(), 0, address(0), "proof");
        vm.prank(attestor);
        refuses(IIdentityBindings.UnknownOutcome.selector);
        settlement.noticeBinding(ledger, identity(), 6, address(0), "proof");
    }

    function testFuzz_anAddressIsEntitledToItsOwnIdOnly(address account) public view {
        vm.assertEq(settlement.entitledTo(ledger, idOf(account)), account, "itself");
        bytes32 unpadded = bytes32(uint256(uint160(account)) | 1 << 160);
        vm.assertEq(settlement.entitledTo(ledger, unpadded), address(0), "no other bits");
    }

    function identity() private view returns (IdentityPreimage memory) {
        return IdentityPreimage(31_337, address(registry), datanet, "tag");
    }

    function notice(uint8 outcome, address account) private {
        vm.prank(attestor);
        settlement.noticeBinding(ledger, identity(), outcome, account, "proof");
    }
}
