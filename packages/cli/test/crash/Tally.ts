/** What a run has done, for its progress and its summary. */
export class Tally {
  rounds = 0
  directories = 0
  readonly kills = { starting: 0, working: 0, retention: 0, backup: 0 }
  stops = 0
  powerLosses = 0
  tailKills = 0
  checks = 0
  backups = 0
  acked = 0
  resent = 0
  received = 0
  readonly declined = new Map<string, number>()

  toString(): string {
    const declined = Array.from(this.declined, ([word, count]) => `${count} ${word}`).toSorted().join(", ")
    const { backup, retention, starting, working } = this.kills
    return `${this.rounds} rounds in ${this.directories} directories: ` +
      `${starting + working + retention + backup} kills (${starting} starting, ${working} working, ` +
      `${retention} with retention, ${backup} during a backup), ${this.stops} clean stops, ` +
      `${this.powerLosses} losses of power, ${this.tailKills} kills of cpt tail; ` +
      `${this.acked} messages ACKed, ${this.resent} re-sent, ${this.received} received by followers, ` +
      `declined: ${
        declined === "" ? "none" : declined
      }; ${this.checks} checks of everything, ${this.backups} of backups`
  }
}
