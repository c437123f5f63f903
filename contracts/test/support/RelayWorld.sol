// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ClaimRelay} from "../../src/ClaimRelay.sol";
import {Member, RelayTerms, SignedTerms} from "../../src/interfaces/IClaimRelay.sol";
import {EpochCommitment} from "../../src/interfaces/IEpochSettlement.sol";
import {Trees} from "./Trees.sol";
import {World} from "./World.sol";

/// @dev Payees with keys of their own, epochs that owe them any amounts, and batches over those.
abstract contract RelayWorld is World {
    uint48 internal constant RATE = 3_000e6;
    uint256 internal constant PAYEES = 8;
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    ClaimRelay internal relay;
    address internal relayer = address(0x4E1A);
    mapping(uint64 epoch => uint128[]) internal owed;

    function setUp() public virtual override {
        super.setUp();
        relay = new ClaimRelay(settlement, open);
        deposit(ledger, payer, 9e14);
    }

    function keyOf(uint256 who) internal pure returns (uint256) {
        return 0xFACE00 + who;
    }

    function accountOf(uint256 who) internal pure returns (address) {
        return vm.addr(keyOf(who));
    }

    function terms() internal view returns (RelayTerms memory) {
        return RelayTerms(relayer, 200, RATE, uint32(block.timestamp + 365 days));
    }

    function consentOf(uint256 who, RelayTerms memory agreed) internal view returns (SignedTerms memory) {
        return signedTerms(keyOf(who), accountOf(who), agreed, relay.nonces(accountOf(who)));
    }

    function signedTerms(uint256 key, address account, RelayTerms memory agreed, uint256 nonce)
        internal
        view
        returns (SignedTerms memory)
    {
        bytes memory signature = sign(key, relay.consentDigest(account, agreed, nonce));
        bytes32 permit = keccak256(
            abi.encode(PERMIT_TYPEHASH, account, address(relay), type(uint256).max, open.nonces(account), agreed.until)
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", open.DOMAIN_SEPARATOR(), permit));
        return SignedTerms(agreed, signature, agreed.until, sign(key, digest));
    }

    function sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function agree(uint256 who) internal {
        relay.consentFor(accountOf(who), consentOf(who, terms()));
    }

    /// @dev The next epoch, final, in which payee i is owed `amounts[i]` in its lifetime.
    function settleAll(uint128[] memory amounts) internal returns (uint64 epoch) {
        EpochCommitment memory c = commitmentOf(amounts);
        settle(c);
        return c.epoch;
    }

    function commitmentOf(uint128[] memory amounts) internal returns (EpochCommitment memory c) {
        uint128 total;
        for (uint256 i; i < amounts.length; ++i) {
            total += amounts[i];
        }
        c = oneToOne(ledger, 0, total, payer, total);
        owed[c.epoch] = amounts;
        (c.payoutRoot, c.payoutCount) = (Trees.root(leavesOf(c.epoch)), uint64(amounts.length));
    }

    function leavesOf(uint64 epoch) internal view returns (bytes32[] memory) {
        bytes32[] memory ids = new bytes32[](owed[epoch].length);
        for (uint256 i; i < ids.length; ++i) {
            ids[i] = payeeAt(i);
        }
        return Trees.leaves(ids, owed[epoch]);
    }

    function payeeAt(uint256 who) internal view virtual returns (bytes32) {
        return idOf(accountOf(who));
    }

    function memberOf(uint64 epoch, uint256 who) internal view returns (Member memory) {
        return Member(payeeAt(who), uint64(who), owed[epoch][who], Trees.path(leavesOf(epoch), who), false, "");
    }

    function batchOf(uint64 epoch) internal view returns (Member[] memory members) {
        members = new Member[](owed[epoch].length);
        for (uint256 i; i < members.length; ++i) {
            members[i] = memberOf(epoch, i);
        }
    }

    function one(Member memory member) internal pure returns (Member[] memory members) {
        members = new Member[](1);
        members[0] = member;
    }

    function same(uint128 nano) internal pure returns (uint128[] memory amounts) {
        amounts = new uint128[](PAYEES);
        for (uint256 i; i < PAYEES; ++i) {
            amounts[i] = nano;
        }
    }

    function send(uint64 epoch, Member[] memory members) internal returns (uint256) {
        vm.prank(relayer);
        return relay.relay(ledger, epoch, RATE, members);
    }
}
