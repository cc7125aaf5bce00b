// title: How many edges of each type there are
// why: The second look at a graph; present, uncertain and absent findings are types of their own.
// returns: type: string, n: int
MATCH ()-[e]->()
WITH type(e) AS kind, count(e) AS edges
RETURN kind AS type, edges AS n
ORDER BY type
