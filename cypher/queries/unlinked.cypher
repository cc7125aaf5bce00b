// title: The most frequent observations that link to no concept
// why: What the concept base lacks; data engineers read this before they trust counts of findings.
// $limit: int = 30
// returns: text: string, n_mentions: int
MATCH (m:Observation)
WHERE NOT (m)-[:linked_to]->(:Concept)
WITH toLower(m.text) AS words, count(m) AS n
RETURN words AS text, n AS n_mentions
ORDER BY n_mentions DESC, text
LIMIT $limit
