import { readFileSync } from "node:fs";
import { Client, errors } from "@elastic/elasticsearch";

import { timestamp } from "./answer.js";

/** No ticket has this key. */
export class Unknown extends Error {}
/** The ticket was used before. */
export class Used extends Error {}

const has = (error, status) => error instanceof errors.ResponseError && error.statusCode === status;

const usable = (ticket, now) =>
  ticket.status === "issued" &&
  (ticket.valid_from === undefined || Date.parse(ticket.valid_from) <= now * 1000) &&
  (ticket.expires_at === undefined || now * 1000 < Date.parse(ticket.expires_at));

/** The index of tickets. */
export class Store {
  constructor({ url, caFile, username, password, index }) {
    this.client = new Client({ node: url, auth: { username, password }, tls: { ca: readFileSync(caFile) } });
    this.index = index;
  }

  /** Uses a ticket up: reads it, and writes it on the condition that nobody has written it since. */
  async redeem(id, redemption, now) {
    const found = await this.client.get({ index: this.index, id }).catch((error) => {
      throw has(error, 404) ? new Unknown("no ticket has this key") : error;
    });
    const ticket = found._source;
    if (!usable(ticket, now)) throw new Used("the ticket was used before");
    ticket.status = "redeemed";
    ticket.redemption = { id: redemption, at: timestamp(now), renewals: 0 };
    const condition = { if_seq_no: found._seq_no, if_primary_term: found._primary_term };
    await this.client.index({ index: this.index, id, ...condition, document: ticket }).catch((error) => {
      throw has(error, 409) ? new Used("the ticket was used before") : error;
    });
  }
}
