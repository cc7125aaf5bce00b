// title: The studies in which a finding is present, with its sites
// why: A cohort by finding. `qualified` says that every mention is narrowed, as in "small effusion".
// $finding: string = "pleural effusion"
// $limit: int = 50
// returns: study: string, concept: string, name: string, n_mentions: int, sites: list, qualified: bool
MATCH (s:Study)-[h:has_present]->(c:Concept)
WHERE c.id = $finding OR toLower(c.name) = toLower($finding)
RETURN s.id AS study, c.id AS concept, c.name AS name, h.n_mentions AS n_mentions, h.sites AS sites, h.qualified AS qualified
ORDER BY study, concept
LIMIT $limit
