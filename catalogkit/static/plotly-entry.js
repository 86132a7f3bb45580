"use strict";
// Scatter is part of the core; the rest are the trace types that catalogkit's charts may use.
var Plotly = require("plotly.js/lib/core");
Plotly.register([
    require("plotly.js/lib/bar"),
    require("plotly.js/lib/heatmap"),
    require("plotly.js/lib/treemap")
]);
module.exports = Plotly;
