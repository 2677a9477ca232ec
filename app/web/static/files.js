/** Files of a visitor: what a drop holds, which kind of file it is by its first bytes, and CSV files to save. */

const RASTER = [
  [0x89, 0x50, 0x4e, 0x47], [0xff, 0xd8, 0xff], [0x47, 0x49, 0x46, 0x38], [0x42, 0x4d],
  [0x49, 0x49, 0x2a, 0x00], [0x4d, 0x4d, 0x00, 0x2a], [0x49, 0x49, 0x2b, 0x00], [0x4d, 0x4d, 0x00, 0x2b],
  [0x52, 0x49, 0x46, 0x46], [0xff, 0x4f, 0xff, 0x51], [0x00, 0x00, 0x00, 0x0c],
];
const GZIP = [0x1f, 0x8b];
const NRRD = [0x4e, 0x52, 0x52, 0x44];
const DICM = [0x44, 0x49, 0x43, 0x4d];
const PREAMBLE = 128; // bytes of a DICOM file before DICM, which may hold the header of a TIFF file
const NIFTI_SIZES = [348, 540]; // the first field of a NIfTI header, in either byte order

/**
 * The kind of an image file: "raster" has grey or colour values to show, "volume" has planes, everything else is
 * taken for DICOM, whose header is optional.
 * @param {Blob} file
 * @returns {Promise<"raster"|"volume"|"dicom">}
 */
export async function kindOf(file) {
  const bytes = new Uint8Array(await file.slice(0, PREAMBLE + DICM.length).arrayBuffer());
  const begins = (magic, offset = 0) => magic.every((byte, place) => bytes[offset + place] === byte);
  if (begins(DICM, PREAMBLE)) return "dicom";
  if (RASTER.some((magic) => begins(magic))) return "raster";
  if (begins(GZIP) || begins(NRRD)) return "volume";
  const view = new DataView(bytes.buffer);
  const isNifti = bytes.length >= 4 && [true, false].some((little) => NIFTI_SIZES.includes(view.getInt32(0, little)));
  return isNifti ? "volume" : "dicom";
}

/** The files of a drop, with those of dropped folders and of the folders in them. */
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return [...transfer.files];
  return (await Promise.all(entries.map(filesBelow))).flat();
}

async function filesBelow(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) { // a reader gives a part of its entries at a time
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) break;
    found.push(...part);
  }
  found.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  return (await Promise.all(found.map(filesBelow))).flat();
}

/**
 * A CSV file (RFC 4180) for spreadsheets.
 * @param {Array<Array<string|number>>} rows
 */
export function csv(rows) {
  const text = rows.map((row) => row.map(cell).join(",")).join("\r\n");
  return new Blob(["\ufeff", text, "\r\n"], { type: "text/csv" });
}

function cell(value) {
  if (typeof value === "number") return String(value);
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value; // spreadsheets would compute it as a formula
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
