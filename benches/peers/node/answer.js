import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

/** How much of an HMAC-SHA-256 stands in a link, in bytes. */
const SIGNATURE_BYTES = 16;

/** RFC 3339 in whole seconds. */
export const timestamp = (seconds) => new Date(seconds * 1000).toISOString().replace(".000Z", "Z");

/** Makes links, and the answers that hold them. */
export class Signer {
  constructor(albumFile, secret) {
    this.album = JSON.parse(readFileSync(albumFile, "utf8"));
    this.secret = secret;
    this.keyName = createHash("sha256").update(secret).digest().subarray(0, 4);
    this.keyNameText = this.keyName.toString("base64url");
  }

  sign(...message) {
    const mac = createHmac("sha256", this.secret);
    for (const part of message) mac.update(part);
    return mac.digest().subarray(0, SIGNATURE_BYTES);
  }

  /** What a redemption is answered with: the album's files, each with a link that ends. */
  answer(host, ticket, redemption, now) {
    const { id, title, artist, files } = this.album;
    const redemptionBytes = Buffer.from(redemption.replaceAll("-", ""), "hex");
    const signature = this.sign("receipt\0", ticket, redemptionBytes);
    const receipt = Buffer.concat([ticket, redemptionBytes, this.keyName, signature]).toString("base64url");
    return {
      redemption: {
        id: redemption,
        redeemed_at: timestamp(now),
        receipt_url: `http://${host}/redemptions/${receipt}`,
      },
      album: { id, title, artist },
      files: files.map((file) => this.link(host, file, now + file.link_seconds)),
    };
  }

  link(host, { name, media_type, bytes, sha256 }, expires) {
    const { id } = this.album;
    const signature = this.sign(`link\0${id}\0${name}\0${expires}`).toString("base64url");
    const path = `/files/${encodeURIComponent(id)}/${encodeURIComponent(name)}`;
    const url = `http://${host}${path}?expires=${expires}&key=${this.keyNameText}&signature=${signature}`;
    return { name, media_type, bytes, sha256, url, expires_at: timestamp(expires) };
  }
}
