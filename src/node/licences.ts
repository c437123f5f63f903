/** The SPDX expression of what holds for a work of several parts: all of their licences at once, each named once. */
export function joinLicences(licences: readonly string[]): string {
  const parts = [...new Set(licences)];
  if (parts.length === 1) return parts[0]!;
  return parts.map((licence) => (/\s/.test(licence) ? `(${licence})` : licence)).join(" AND ");
}
