// Functions of Neo4j's Cypher that ladybug 0.22 lacks and the portable queries may use.
CREATE MACRO type(r) AS label(r);
CREATE MACRO toString(x) AS CAST(x AS STRING);
CREATE MACRO toInteger(x) AS CAST(x AS INT64);
CREATE MACRO toFloat(x) AS CAST(x AS DOUBLE);
