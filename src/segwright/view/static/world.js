// What every part of the page knows: structures, cases, results and their scores, and who is told of what.

import * as api from "./api.js";
import { set, state } from "./state.js";

/** @typedef {{level: string, what: string}} Finding */
/**
 * @typedef {{index: number, id: string, group: string, fold: number | null, labelled: boolean, findings: Finding[]}}
 *   Case
 */
/** @typedef {{number: number, name: string, kind: string, cases: string[], notes: string[], scored: number, total:
 *   number,
 *   error: string, done: boolean, dropped: boolean}} Result */
/**
 * @typedef {{name: string, label: string, better: string, digits: number, unit: string, limit?: number | null}}
 *   Column
 */
/**
 * @typedef {{structure: string, metric: string, mean: number | null, low: number | null, high: number | null}}
 *   Aggregate
 */
/** @typedef {Result & {metrics: Column[], mean: string, rows: Record<string, Record<string, Record<string, number |
 *   null>>>,
 *   failed: Record<string, string>, aggregates: Aggregate[], rules: string[]}} Scores */
/** @typedef {{name: string, colour: string}} Structure */
/** @typedef {{run: number, name: string, report: boolean}} Run */
/** @typedef {{title: string, kind: string, group_word: string, notes: string[], instances: boolean,
 *   structures: Structure[], regions: string[], cases: Case[], results: Result[], runs: Run[], link: string,
 *   upload_limit: number}} Told what the server tells of everything that is open */
/** @typedef {{list: import("./caselist.js").CaseList, panel: import("./panel.js").Panel,
 *   stage: import("./stage.js").Stage}} Parts of the page that are told what happens */

/** What every part of the page knows: structures, cases, results and their scores. */
export class World {
  /**
   * @param {Told} told
   * @param {HTMLElement} status where short messages stand
   */
  constructor(told, status) {
    this.status = status;
    /** @type {Map<number, Scores>} */
    this.scores = new Map();
    /** @type {((what: string) => void)[]} */
    this.listeners = [];
    /** An upload that was not taken. @type {{name: string, error: unknown} | null} */
    this.refused = null;
    /** @type {Parts | null} */
    this.parts = null;
    this.again = 0;
    this.take(told);
  }

  /** @param {Told} told */
  take(told) {
    this.title = told.title;
    this.group_word = told.group_word;
    this.notes = told.notes;
    this.instances = told.instances;
    this.structures = told.structures;
    this.regions = told.regions;
    this.cases = told.cases;
    this.results = told.results;
    this.runs = told.runs;
    this.upload_limit = told.upload_limit;
    this.byId = new Map(told.cases.map((row) => [row.id, row]));
  }

  /** Whom the world tells, once they are there. @param {Parts} parts */
  connect(parts) {
    this.parts = parts;
  }

  /** A short message; empty takes it away. @param {string} text */
  say(text) {
    this.status.textContent = text;
  }

  /** A case was opened, or could not be. @param {import("./api.js").Info | null} info */
  opened(info) {
    this.parts?.panel.open(info);
    this.parts?.list.mark();
  }

  /** Where structures of the open case lie is known. @param {import("./api.js").Places} places */
  located(places) {
    this.parts?.panel.located(places);
  }

  /** Slices are on the screen. */
  painted() {
    if (!this.parts) return;
    const { list, panel, stage } = this.parts;
    panel.scrolled();
    if (!list.pictured) list.pictures();
    document.body.dataset.painted = state.case;
    stage.ahead(list.next());
  }

  /** @param {string} id @returns {Case | undefined} */
  caseOf(id) {
    return this.byId.get(id);
  }
  /** @param {number} number @returns {Result | undefined} */
  result(number) {
    return this.results.find((r) => r.number === number);
  }
  /** The labels, or a result. @param {number} source */
  nameOf(source) {
    return source === 0 ? "Labels" : this.result(source)?.name || "Result";
  }
  // Who stays in one fold: the patient, the specimen, or whatever it is.
  groupName(count = 1) {
    const word = this.group_word + (count === 1 ? "" : "s");
    return word[0].toUpperCase() + word.slice(1);
  }

  /**
   * Open a case; what else changes with it is one step.
   * @param {string} id
   * @param {Partial<import("./state.js").View>} patch
   */
  look(id, patch = {}) {
    if (!this.caseOf(id)) return;
    if (id !== state.case) this.parts?.stage.carry();
    set({ object: 0, ...patch, case: id });
  }

  /** The worst case of a result, among those that have one. @param {number} number */
  worst(number) {
    set({ result: number, sort: "worst", only: "result" });
    this.look(this.parts?.list.firstId() ?? "", { page: "cases", mode: "difference" });
  }

  /** @param {(what: string) => void} call */
  onChange(call) {
    this.listeners.push(call);
  }
  /** @param {string} what */
  changed(what) {
    this.listeners.forEach((call) => call(what));
  }

  // The result whose scores the lists show.
  get chosen() {
    return this.result(state.result) || this.results[0] || null;
  }

  /**
   * @param {number} number
   * @param {string} id
   * @param {string} structure the mean if empty
   * @param {string} metric
   * @returns {number | null}
   */
  value(number, id, structure, metric) {
    const scores = this.scores.get(number);
    const name = structure || scores?.mean;
    return scores?.rows[id]?.[name]?.[metric] ?? null;
  }

  /** @param {string} metric @returns {Column} */
  column(metric) {
    for (const scores of this.scores.values()) {
      const found = scores.metrics.find((m) => m.name === metric);
      if (found) return found;
    }
    return { name: metric, label: metric, better: "higher", digits: 3, unit: "" };
  }

  /** Ask for scores that are still growing. */
  async refreshScores() {
    if (!this.results.length && !this.scores.size) return;
    await Promise.all(
      this.results.map(async (result) => {
        const known = this.scores.get(result.number);
        if (known && known.done && known.scored === known.total) return;
        try {
          this.scores.set(result.number, await api.json(`/api/results/${result.number}/scores`));
        } catch {
          /* removed meanwhile */
        }
      }),
    );
    this.changed("scores");
    if ([...this.scores.values()].some((scores) => !scores.done)) {
      clearTimeout(this.again);
      this.again = setTimeout(() => this.refreshScores(), 1000);
    }
  }

  /** Ask for everything that is open. */
  async refresh() {
    this.take(await api.json("/api/state"));
    for (const number of [...this.scores.keys()]) if (!this.result(number)) this.scores.delete(number);
    this.changed("state");
    await this.refreshScores();
  }
}
