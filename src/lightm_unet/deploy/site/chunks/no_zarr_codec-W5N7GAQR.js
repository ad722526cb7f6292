import"./chunk-D4IMWCK2.js";var l=null;export{l as default};
