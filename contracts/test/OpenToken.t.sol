// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {World} from "./support/World.sol";

contract OpenTokenTest is World {
    uint256 private constant KEY = 0x70C;
    address private holder;

    function setUp() public override {
        super.setUp();
        holder = vm.addr(KEY);
        open.transfer(holder, 100);
    }

    function test_theSupplyIsFixed() public view {
        vm.assertEq(open.totalSupply(), 1_000_000_000 * 1e18, "one thousand million");
        vm.assertEq(uint256(open.decimals()), 18, "decimals");
        vm.assertEq(keccak256(bytes(open.symbol())), keccak256("OPEN"), "symbol");
    }

    function test_votesFollowDelegation() public {
        vm.prank(holder);
        open.delegate(stranger);
        vm.assertEq(open.getVotes(stranger), 100, "delegated");
        vm.prank(holder);
        open.transfer(earner, 40);
        vm.assertEq(open.getVotes(stranger), 60, "less what was transferred");
    }

    function test_anAuthorisationMovesMoneyOnceInItsTime() public {
        bytes32 digest = digestOf("TransferWithAuthorization", earner, 30, "nonce");
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digest);
        refuses(bytes4(keccak256("ERC3009InvalidSignature()")));
        open.transferWithAuthorization(holder, stranger, 30, 0, block.timestamp + 10, "nonce", v, r, s);
        open.transferWithAuthorization(holder, earner, 30, 0, block.timestamp + 10, "nonce", v, r, s);
        vm.assertEq(open.balanceOf(earner), 30, "moved");
        vm.assertTrue(open.authorizationState(holder, "nonce"), "used");
        refuses(bytes4(keccak256("ERC3009UsedAuthorization(address,bytes32)")));
        open.transferWithAuthorization(holder, earner, 30, 0, block.timestamp + 10, "nonce", v, r, s);
    }

    function test_anAuthorisationRunsOut() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digestOf("TransferWithAuthorization", earner, 30, "nonce"));
        uint256 until = block.timestamp + 10;
        pass(10);
        refuses(bytes4(keccak256("ERC3009InvalidAuthorizationTime(uint256,uint256)")));
        open.transferWithAuthorization(holder, earner, 30, 0, until, "nonce", v, r, s);
    }

    function test_onlyTheReceiverUsesAReceiveAuthorisation() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digestOf("ReceiveWithAuthorization", earner, 30, "nonce"));
        vm.prank(stranger);
        refuses(bytes4(keccak256("ERC20InvalidReceiver(address)")));
        open.receiveWithAuthorization(holder, earner, 30, 0, block.timestamp + 10, "nonce", v, r, s);
        vm.prank(earner);
        open.receiveWithAuthorization(holder, earner, 30, 0, block.timestamp + 10, "nonce", v, r, s);
        vm.assertEq(open.balanceOf(earner), 30, "received");
    }

    function test_aCancelledAuthorisationIsUsedUp() public {
        bytes32 message = keccak256(
            abi.encode(keccak256("CancelAuthorization(address authorizer,bytes32 nonce)"), holder, bytes32("nonce"))
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, typed(message));
        open.cancelAuthorization(holder, "nonce", v, r, s);
        (v, r, s) = vm.sign(KEY, digestOf("TransferWithAuthorization", earner, 30, "nonce"));
        refuses(bytes4(keccak256("ERC3009UsedAuthorization(address,bytes32)")));
        open.transferWithAuthorization(holder, earner, 30, 0, block.timestamp + 10, "nonce", v, r, s);
    }

    function digestOf(string memory action, address to, uint256 value, bytes32 nonce) private view returns (bytes32) {
        bytes memory typeName = abi.encodePacked(
            action, "(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
        return
            typed(
                keccak256(abi.encode(keccak256(typeName), holder, to, value, uint256(0), block.timestamp + 10, nonce))
            );
    }

    function typed(bytes32 message) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("OpenLedger"),
                keccak256("1"),
                block.chainid,
                address(open)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, message));
    }
}
