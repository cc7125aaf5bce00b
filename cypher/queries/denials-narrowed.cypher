// title: How many denials of each finding are narrowed ("no large effusion") and how many are outright
// why: A label "absent" made from narrowed denials is wrong for the small ones; this says how many there are.
// $limit: int = 20
// returns: concept: string, name: string, n_absent: int, n_narrowed: int, n_outright: int
MATCH (s:Study)-[h:has_absent]->(c:Concept)
WITH c, count(s) AS absent, sum(CASE WHEN h.qualified THEN 1 ELSE 0 END) AS narrowed
RETURN c.id AS concept, c.name AS name, absent AS n_absent, narrowed AS n_narrowed, absent - narrowed AS n_outright
ORDER BY n_narrowed DESC, n_absent DESC, concept
LIMIT $limit
