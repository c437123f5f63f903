const PAGE_BYTES = 4_096;

/** Many small draws a second from one system call for a page of them: asking for 16 bytes costs as much as asking for 4,096. No byte is given out twice. */
export function pooledRandom(draw: (size: number) => Uint8Array): (size: number) => Uint8Array {
  let page: Uint8Array = new Uint8Array();
  let at = 0;
  return (size) => {
    if (at + size > page.length) {
      page = draw(Math.max(size, PAGE_BYTES));
      at = 0;
    }
    at += size;
    return page.slice(at - size, at);
  };
}
