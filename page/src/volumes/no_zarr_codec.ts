/** In place of numcodecs: NiiVue could read chunked images from servers, which this page never does. */
export default null;
